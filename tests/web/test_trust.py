"""Host and Origin rules, without a socket."""

from __future__ import annotations

import pytest

from voiced.settings import Server
from voiced.web.trust import Trust, is_local, plain_address

TRUST = Trust(Server(hostnames=("Voiced.lan",), origins=("https://app.example",)))
LOCAL = "192.168.1.5"


def status(host: str | None, origin: str | None = None) -> int | None:
    headers = {"host": host} if host is not None else {}
    if origin is not None:
        headers["origin"] = origin
    refusal = TRUST.check(headers, LOCAL)
    return None if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host",
    [
        *["localhost", "LOCALHOST:8080", "app.localhost", "localhost.", "127.0.0.1", "127.8.9.1:1"],
        *["[::1]:8080", "192.168.1.5:8080", "voiced.lan", "VOICED.LAN:443", "[::ffff:192.168.1.5]"],
    ],
)
def test_a_known_host_is_trusted(host: str) -> None:
    assert status(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *[None, "", "evil.example", "localhost.evil.example", "notlocalhost", "192.168.1.6"],
        *["0.0.0.0", "voiced.lan.evil.example", "user@localhost", "localhost:x", "[::1", ":8080"],
    ],
)
def test_any_other_host_is_refused_with_421(host: str | None) -> None:
    assert status(host) == 421


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", "http://localhost:8080"),
        ("voiced.lan", "https://voiced.lan"),
        ("voiced.lan:443", "https://voiced.lan"),
        ("voiced.lan:8080", "https://app.example"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_page_of_the_same_host_or_a_listed_one_is_trusted(host: str, origin: str) -> None:
    assert status(host, origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        *["https://evil.example", "null", "", "http://localhost:3000", "http://localhost"],
        *["file://", "http://localhost:8080@evil.example", "https://app.example.evil.example"],
        *["http://localhost:8080, http://evil.example", "chrome-extension://localhost:8080"],
    ],
)
def test_any_other_page_is_refused_with_403(origin: str) -> None:
    assert status("localhost:8080", origin) == 403


def test_a_listed_origin_does_not_excuse_an_unknown_host() -> None:
    assert status("evil.example", "https://app.example") == 421


@pytest.mark.parametrize(
    ("address", "plain", "local"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True),
        ("::ffff:192.0.2.1", "192.0.2.1", False),
        ("fe80::1%eth0", "fe80::1", False),
        ("", "", True),
        ("example", "example", False),
    ],
)
def test_addresses_are_compared_in_their_shortest_form(
    address: str, plain: str, local: bool
) -> None:
    assert (plain_address(address), is_local(address)) == (plain, local)
