"""What a browser wants to hear before a page of another origin may use the HTTP side. Pure.

Who may is decided before (`voiced.web.trust`): by the settings, not by the browser. But without
these fields a browser shows such a page no answer, and does not even send a request with a key or
with JSON in it (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    Fields = list[tuple[bytes, bytes]]

KNOWN_FOR_S = b"600"
"""A browser need not ask again for so long."""


def shared_fields(headers: Mapping[str, str]) -> Fields:
    """What is added to each answer to a trusted request with `headers`; nothing for programs.

    Credentials are not allowed, as there are no cookies: a key comes in `Authorization`.
    """
    if "origin" not in headers:
        return []
    return [
        (b"access-control-allow-origin", headers["origin"].encode("latin-1")),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    ]


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a browser asks what it may send. It does so without the key."""
    return method == "OPTIONS" and {"origin", "access-control-request-method"} <= headers.keys()


def preflight_fields(headers: Mapping[str, str]) -> Fields:
    """The answer to a trusted preflight, beside `shared_fields`: whatever it asks for.

    Each request that follows is looked at anyway. A `*` would not stand for `Authorization`.
    """
    fields = [
        (b"access-control-allow-methods", headers["access-control-request-method"]),
        (b"access-control-allow-headers", headers.get("access-control-request-headers")),
        # Asked by a page from the internet of a machine at home, of browsers that want to know.
        (b"access-control-allow-private-network", headers.get(PRIVATE_NETWORK)),
    ]
    found = [(name, value.encode("latin-1")) for name, value in fields if value]
    return [*found, (b"access-control-max-age", KNOWN_FOR_S)]


PRIVATE_NETWORK = "access-control-request-private-network"
