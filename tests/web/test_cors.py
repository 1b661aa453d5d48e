"""Pages of other origins: those in the settings use the HTTP side as browsers will have it."""

from __future__ import annotations

import re

import pytest
from structlog.testing import capture_logs

from tests.web.harness import REMOTE, ask, get, make_settings, running, status_of

PAGE = "https://app.example"
SETTINGS = make_settings(server={"origins": (PAGE,)}, token="the-token")


def field(response: bytes, name: str) -> str | None:
    head = response.partition(b"\r\n\r\n")[0].decode()
    found = re.findall(rf"(?im)^{name}: (.*)\r?$", head)
    assert len(found) <= 1
    return found[0].strip() if found else None


def preflight(origin: str, *fields: str, path: str = "/v1/models") -> bytes:
    return get(path, f"Origin: {origin}", "Access-Control-Request-Method: POST", *fields).replace(
        b"GET", b"OPTIONS", 1
    )


async def test_a_listed_page_may_ask_without_the_key_and_send_it_then() -> None:
    async with running(SETTINGS, remote=REMOTE) as (_, port):
        asked = "Access-Control-Request-Headers: authorization,content-type"
        private = "Access-Control-Request-Private-Network: true"
        answer = await ask(port, preflight(PAGE, asked, private))
        assert status_of(answer) == 204
        assert field(answer, "access-control-allow-origin") == PAGE
        assert field(answer, "access-control-allow-methods") == "POST"
        assert field(answer, "access-control-allow-headers") == "authorization,content-type"
        assert field(answer, "access-control-allow-private-network") == "true"
        assert field(answer, "vary") == "Origin"
        assert field(answer, "access-control-allow-credentials") is None

        origin = f"Origin: {PAGE}"
        answer = await ask(port, get("/v1/models", origin, "Authorization: Bearer the-token"))
        assert status_of(answer) == 200
        assert field(answer, "access-control-allow-origin") == PAGE
        # What is refused can be read by the page too, with the time to wait.
        answer = await ask(port, get("/v1/models", origin))
        assert status_of(answer) == 401
        assert field(answer, "access-control-allow-origin") == PAGE
        assert field(answer, "access-control-expose-headers") == "*"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://app.example"])
async def test_any_other_page_is_told_nothing(origin: str) -> None:
    async with running(SETTINGS) as (_, port):
        for request in (preflight(origin), get("/v1/models", f"Origin: {origin}")):
            # The door refuses the first request of a connection, the gate a later one.
            for asked in (request, get("/health", close=False) + request):
                answer = (await ask(port, asked)).rpartition(b"HTTP/1.1")[2]
                assert status_of(b"HTTP/1.1" + answer) == 403
                assert b"access-control" not in answer.lower()


async def test_the_log_names_the_page_that_was_refused() -> None:
    origin = "https://evil.example"
    for first in (b"", get("/health", close=False)):  # at the door, and at the gate
        with capture_logs() as logs:
            async with running(SETTINGS) as (_, port):
                await ask(port, first + get("/health", f"Origin: {origin}"))
        (refused,) = (entry for entry in logs if entry["event"].startswith("refuse "))
        assert (refused["origin"], refused["host"]) == (origin, "localhost")


async def test_programs_see_none_of_it_and_their_options_are_the_routes() -> None:
    async with running(make_settings()) as (_, port):
        answer = await ask(port, get("/v1/models"))
        assert b"access-control" not in answer.lower()
        answer = await ask(port, get("/v1/models").replace(b"GET", b"OPTIONS", 1))
    assert status_of(answer) == 200
    assert set((field(answer, "allow") or "").split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_connection_goes_on_after_a_preflight_with_a_body() -> None:
    asked = preflight("http://localhost", "Content-Length: 3").replace(
        b"Connection: close\r\n", b""
    )
    async with running(make_settings()) as (_, port):
        answer = await ask(port, asked + b"abc" + get("/health"))
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 200" in answer
