"""Where a server is, and the key that it wants: never from the settings, never in a log."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voiced.engines.registry import NO_ENGINE
from voiced.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.engines.registry import ServedKind
    from voiced.settings import Provider as ProviderSettings
    from voiced.settings import Settings


def check_servers(settings: Settings, kind: ServedKind) -> None:
    """Raises `SettingsError` where somebody is missing who does that kind of work, or a server
    cannot be used. Asks none of them."""
    section = getattr(settings, kind)
    if section.engine == NO_ENGINE and not section.providers:
        raise SettingsError(f"{kind}.engine is {NO_ENGINE}, and {kind}.providers is empty")
    for number, provider in enumerate(section.providers, 1):
        where = f"{kind}.providers, number {number}"
        check_address(provider, where)
        read_key(provider, where)


def name_of(settings: ProviderSettings) -> str:
    """What a provider is called: its name in the settings, or its host and port."""
    return settings.name or urlsplit(settings.url).netloc


def check_address(settings: ProviderSettings, where: str) -> None:
    """Raises `SettingsError`, which begins with `where`, for an address that cannot be used."""
    try:
        parts = urlsplit(settings.url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        port_is_fine = False
    if not port_is_fine or parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{where}: url is no address such as https://host.example/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise SettingsError(
            f"{where}: url is an address and no more; a key comes from `credential` or `key_file`"
        )
    if settings.credential and settings.key_file:
        raise SettingsError(f"{where}: give credential or key_file, not both")
    wants_key = settings.credential or settings.key_file
    if wants_key and parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingsError(f"{where}: a key is sent over https only, or to this machine")


def is_loopback(host: str) -> bool:
    """Whether what is sent there cannot leave this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_key(
    settings: ProviderSettings, where: str, environ: Mapping[str, str] = os.environ
) -> str:
    """The key: of the systemd credential, or in the file; "" where none is wanted.

    Raises `SettingsError`, which begins with `where`, where it cannot be read.
    """
    if settings.credential:
        directory = environ.get("CREDENTIALS_DIRECTORY", "")
        if not directory:
            raise SettingsError(
                f"{where}: there are no credentials ($CREDENTIALS_DIRECTORY is not set); "
                f"LoadCredential={settings.credential}:FILE in the unit, or use key_file"
            )
        if not re.fullmatch(r"[\w.-]+", settings.credential) or settings.credential[0] == ".":
            raise SettingsError(f"{where}: credential is the name of one, and no path")
        path = Path(directory) / settings.credential
    elif settings.key_file:
        path = Path(settings.key_file)
    else:
        return ""
    try:
        key = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SettingsError(f"{where}: the key in {path} cannot be read: {cause}") from error
    if not re.fullmatch(r"[!-~]+", key):
        raise SettingsError(f"{where}: the key in {path} is not one word of printable characters")
    return key
