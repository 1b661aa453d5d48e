"""Options that several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from voiced.settings_loader import SYSTEM_CONFIG

if TYPE_CHECKING:
    import argparse


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add `--config FILE`, which becomes `args.config`: a `Path` or None."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help=f"settings file (default: {SYSTEM_CONFIG}, where it exists)",
    )


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add `--json`, which becomes `args.json`."""
    parser.add_argument("--json", action="store_true", help="print JSON, for machines")


def print_json(data: object) -> None:
    """What `--json` prints: one document, indented."""
    encoded = msgspec.json.format(msgspec.json.encode(data), indent=2)
    sys.stdout.write(encoded.decode() + "\n")
