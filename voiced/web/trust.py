"""Which requests are believed to come from here: known `Host` names and allowed `Origin`s.

A web page can open sockets to the machine that shows it. `Host` stops DNS rebinding (a foreign
name that suddenly resolves to this machine), `Origin` stops a foreign page from using the
address of this machine directly. Programs send no `Origin` and are not concerned by it.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from voiced.web.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voiced.settings import Server

DEFAULT_PORTS = {"http": 80, "https": 443}
LOGGED = 100  # characters


def plain_address(address: str) -> str:
    """Return `address` in its shortest form: no IPv4-mapped IPv6, no zone."""
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped) if mapped is not None else str(ip).partition("%")[0]
    return str(ip)


def is_local(address: str) -> bool:
    """Whether `address` is on this machine alone: loopback, or empty for a Unix socket."""
    try:
        return not address or ip_address(plain_address(address)).is_loopback
    except ValueError:
        return False


class Trust:
    """The Host and Origin rules of one server. Pure; shared by WebSockets and HTTP."""

    def __init__(self, server: Server) -> None:
        self._hostnames = frozenset(name.lower().rstrip(".") for name in server.hostnames)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in server.origins)

    def check(
        self, headers: Mapping[str, str], local_address: str, *, secure: bool = False
    ) -> Refusal | None:
        """Return why the request is not trusted, or None if it is.

        `headers` has lower-case names; `local_address` is the address of our socket, without
        port, on which the request came in; `secure` is whether it came by TLS.
        """
        host = _split(f"//{headers.get('host', '')}")
        if host is None or not self._knows(host.hostname or "", local_address):
            return Refusal(
                421,
                "unknown_host",
                "This server does not know itself by the name in `Host`. Use"
                f" {'https' if secure else 'http'}://localhost,"
                " the address it listens on, or add the name to server.hostnames in its settings.",
            )
        origin = headers.get("origin")
        if origin is None or origin.lower() in self._origins or _same_host(origin, host, secure):
            return None
        return Refusal(
            403,
            "origin_not_allowed",
            "Pages of this `Origin` may not use this server. Add the origin to server.origins"
            " in its settings to allow them.",
        )

    def _knows(self, name: str, local_address: str) -> bool:
        name = name.rstrip(".")
        if name == "localhost" or name.endswith(".localhost") or name in self._hostnames:
            return True
        return bool(name) and (is_local(name) or plain_address(name) == local_address)


def _same_host(origin: str, host: SplitResult, secure: bool) -> bool:
    """Whether the page came from the very host and port that it now calls.

    A page that came without TLS may be anybody's work: it may not use the TLS port. The reverse
    is a proxy in front of us that does the TLS.
    """
    page = _split(origin)
    if page is None or page.scheme not in DEFAULT_PORTS or page.path not in {"", "/"}:
        return False
    if secure and page.scheme != "https":
        return False
    default = DEFAULT_PORTS[page.scheme]
    return page.hostname == host.hostname and (page.port or default) == (host.port or default)


def _split(url: str) -> SplitResult | None:
    """Split `url`; None where its host or port is malformed, or it carries credentials."""
    try:
        parts = urlsplit(url)
        malformed = parts.username is not None or (parts.port is not None and parts.port < 1)
    except ValueError:
        return None
    return None if malformed else parts


def said_of_itself(headers: Mapping[str, str]) -> dict[str, str]:
    """What the log is told of a request that was refused: what to add to the settings, if it is
    to be let in. A browser does not show its page why it was not."""
    return {name: headers[name][:LOGGED] for name in ("host", "origin") if name in headers}


def fold_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return header fields as a mapping with lower-case names; repeated ones joined by ", "."""
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers
