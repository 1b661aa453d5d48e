"""Where the daemon is, and with which token: from the command line or the settings."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from voiced.errors import UsageError

if TYPE_CHECKING:
    from voiced.settings import Server

REALTIME_PATH = "/v1/realtime"


class Address(msgspec.Struct, frozen=True):
    """A WebSocket URL taken apart."""

    url: str
    host: str
    port: int
    tls: bool
    resource: str

    @property
    def netloc(self) -> str:
        """Host and port as a `Host` header has them."""
        return f"{bracketed(self.host)}:{self.port}"


def parse_address(url: str) -> Address:
    """Take a WebSocket URL apart; one without a path gets the Realtime one.

    Raises `UsageError` where it is not a `ws` or `wss` URL with a host.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise UsageError(f"{url!r} is not a URL: {exc}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(
            f"{url!r} is not a WebSocket URL such as ws://127.0.0.1:8080{REALTIME_PATH}"
        )
    tls = parts.scheme == "wss"
    resource = parts.path if parts.path not in ("", "/") else REALTIME_PATH
    if parts.query:
        resource += "?" + parts.query
    return Address(url, parts.hostname, port or (443 if tls else 80), tls, resource)


def server_url(server: Server) -> str:
    """The Realtime URL of a daemon with these settings, seen from its own machine."""
    return f"ws://{bracketed(_reachable(server.host))}:{server.port}{REALTIME_PATH}"


def bracketed(host: str) -> str:
    """`host` as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _reachable(host: str) -> str:
    """An address to connect to for one to listen on: `0.0.0.0` listens everywhere."""
    try:
        address = ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return host
