"""Who may see `/metrics` and `/v1/engines`."""

from __future__ import annotations

import pytest

from tests.web.harness import REMOTE, ask, get, make_settings, running, status_of

TOKEN = "a-token-of-enough-characters"


@pytest.mark.parametrize("path", ["/metrics", "/v1/engines"])
async def test_from_elsewhere_the_token_is_needed(path: str) -> None:
    async with running(make_settings(token=TOKEN), remote=REMOTE) as (_, port):
        assert status_of(await ask(port, get(path))) == 401
        assert status_of(await ask(port, get(path, "Authorization: Bearer wrong"))) == 401
        assert status_of(await ask(port, get(path, f"Authorization: Bearer {TOKEN}"))) == 200


@pytest.mark.parametrize("path", ["/metrics", "/v1/engines"])
async def test_on_the_same_machine_it_is_not(path: str) -> None:
    async with running(make_settings(token=TOKEN)) as (_, port):
        assert status_of(await ask(port, get(path))) == 200
    settings = make_settings(token=TOKEN, token_on_loopback=True)
    async with running(settings) as (_, port):
        assert status_of(await ask(port, get(path))) == 401


async def test_what_is_refused_at_the_door_is_counted() -> None:
    async with running(make_settings(token=TOKEN), remote=REMOTE) as (door, port):
        for _ in range(2):
            await ask(port, get("/metrics", "Authorization: Bearer wrong"))
        await ask(port, get("/health", host="elsewhere.example"))
        assert door.refused == {"invalid_api_key": 2, "unknown_host": 1}
