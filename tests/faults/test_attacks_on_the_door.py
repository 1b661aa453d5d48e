"""Attacks on the front door: tried keys, sockets held open, over plain TCP and over TLS."""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import trio
from structlog.testing import capture_logs

from tests.certificates import certify
from tests.web.harness import (
    connect_tls,
    echo,
    error_of,
    get,
    make_secrets,
    make_settings,
    read_all,
    read_close,
    running,
    status_of,
    until,
    upgrade,
    websocket,
)
from voiced.realtime.secrets import Attached
from voiced.web.tls import FileCertificate

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from trio_websocket import WebSocketConnection

    from voiced.web.websocket import Upgrade

ATTACKER, GUEST = "127.0.0.66", "127.0.0.7"
"""Addresses of this machine that stand for two others: the token is demanded from both."""

KEYS_A_MINUTE = 20


class Target:
    """A door to attack, plain or with TLS."""

    def __init__(self, folder: Path, *, secure: bool, keys_a_minute: int = KEYS_A_MINUTE) -> None:
        self.settings = make_settings(
            token="s3cret",
            token_on_loopback=True,
            server={"close_timeout_s": 0.5},
            limits={"wrong_keys_per_minute": keys_a_minute, "pending_connections": 8},
        )
        self.certificate: FileCertificate | None = None
        self.trusted: ssl.SSLContext | None = None
        if secure:
            certified = certify(folder)
            self.certificate = FileCertificate(certified.cert, certified.key)
            self.trusted = certified.client_context()

    async def connect(self, port: int, source: str) -> trio.abc.Stream:
        if self.trusted is not None:
            return await connect_tls(port, self.trusted, source=source)
        return await trio.open_tcp_stream("127.0.0.1", port, local_address=source)

    async def ask(self, port: int, source: str, request: bytes) -> bytes:
        async with await self.connect(port, source) as stream:
            await stream.send_all(request)
            return await read_all(stream)


@pytest.fixture(params=["plain", "tls"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return Target(tmp_path, secure=request.param == "tls")


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}"


async def test_many_wrong_keys_are_not_looked_at_and_keep_nobody_else_out(target: Target) -> None:
    handled: list[str] = []

    async def handler(ws: WebSocketConnection, request: Upgrade) -> None:
        handled.append(request.remote)
        await echo(ws, request)

    async def guess(number: int) -> str:
        key = bearer("s3cret" if number >= 2 * KEYS_A_MINUTE else f"guess-{number}")
        if number % 2:
            return str(error_of(await target.ask(port, ATTACKER, get("/ready", key)))["code"])
        async with await target.connect(port, ATTACKER) as stream:
            await stream.send_all(upgrade("/v1/realtime", key))
            received = b""
            with contextlib.suppress(trio.BrokenResourceError):
                while b"\x88" not in received:
                    received += await stream.receive_some()
        return "invalid_api_key" if b"invalid_api_key" in received else "rate_limit_exceeded"

    async with running(target.settings, handler=handler, certificate=target.certificate) as (
        door,
        port,
    ):
        codes = Counter([await guess(number) for number in range(3 * KEYS_A_MINUTE)])
        # Some more than a minute's share, as some time passes; among the others: the right one.
        assert KEYS_A_MINUTE <= codes["invalid_api_key"] <= KEYS_A_MINUTE + 5
        assert codes.total() == codes["invalid_api_key"] + codes["rate_limit_exceeded"]
        assert status_of(await target.ask(port, GUEST, get("/ready", bearer("s3cret")))) == 200
        assert handled == []
        assert door.websockets == 0


async def test_control_without_the_limit_the_right_key_is_found(tmp_path: Path) -> None:
    target = Target(tmp_path, secure=False, keys_a_minute=10_000)
    keys = [*(f"guess-{number}" for number in range(3 * KEYS_A_MINUTE)), "s3cret"]
    async with running(target.settings) as (_, port):
        found = [
            key
            for key in keys
            if status_of(await target.ask(port, ATTACKER, get("/ready", bearer(key)))) == 200
        ]
    assert found == ["s3cret"]


async def test_who_is_turned_away_and_stays_costs_a_place_for_a_moment(target: Target) -> None:
    async with (
        running(target.settings, certificate=target.certificate) as (door, port),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(40):
            stream = await stack.enter_async_context(await target.connect(port, ATTACKER))
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(upgrade("/v1/realtime", bearer("wrong")))
            assert door.websockets == 0
        assert door.connections <= 8 + 1
        response = await target.ask(port, GUEST, get("/ready", bearer("s3cret")))
        assert status_of(response) == 200
        await until(lambda: not door.connections)


async def test_the_secret_of_one_page_does_not_help_to_guess_another(target: Target) -> None:
    secrets = make_secrets()
    key = secrets.make(Attached(), 60)
    with capture_logs() as logs:
        async with running(
            target.settings, certificate=target.certificate, client_secrets=secrets
        ) as (_, port):
            headers = {"Authorization": f"Bearer {key}"}
            async with websocket(port, headers=headers, trusted=target.trusted) as client:
                await client.send_message("in")
                assert await client.get_message() == "in"
            wrong = {"Authorization": f"Bearer {key[:-1]}"}
            async with websocket(port, headers=wrong, trusted=target.trusted) as client:
                assert (await read_close(client))[0] == 3000
    assert key[:-1] not in str(logs)
