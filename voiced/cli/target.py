"""Which daemon a command talks to, and with which token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voiced.cli.options import add_config_option
from voiced.client.address import parse_address, server_url

if TYPE_CHECKING:
    import argparse


class Target(msgspec.Struct, frozen=True):
    """A daemon's URL, the token to present to it, and whom to trust with TLS (None: the system)."""

    url: str
    token: str
    ca: Path | None


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add `--url`, `--ca` and `--config`."""
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the daemon (default: the one of the settings, on this box); where it demands a token,"
        " give that as VOICED_AUTH__TOKEN in the environment",
    )
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="for a wss:// URL: a PEM file with the certificate authority to trust",
    )
    add_config_option(parser)


def find_target(args: argparse.Namespace) -> Target:
    """From `--url`, else the settings. Raises `SettingsError`, or `UsageError` on a bad URL.

    The token is that of the settings, which is `VOICED_AUTH__TOKEN` in the environment.
    """
    from voiced.settings_loader import load_settings

    settings = load_settings(args.config)
    url = args.url or server_url(settings.server)
    parse_address(url)
    return Target(url, settings.auth.token, args.ca)
