"""Clients that misbehave: each gets its error or close code, and nobody else notices."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from tests.patience import CEILING_S
from tests.realtime.fakes import silence
from tests.realtime.live import Daemon, connected, daemon, open_socket

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_MB = 60.0
"""What one client may cost at most for a while: the longest input audio, at 24 and at 16 kHz,
a message of the longest kind and what decodes it."""

HEAD = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def a_turn_works(running: Daemon) -> None:
    async with connected(running.url) as client:
        assert (await client.type_in("hello"))["status"] == "completed"


async def sessions_end(running: Daemon) -> None:
    """Wait until no session is left, by what the daemon says of itself."""
    with trio.fail_after(CEILING_S):
        while True:
            async with await trio.open_tcp_stream("127.0.0.1", running.port) as stream:
                await stream.send_all(
                    b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                )
                answer = b"".join([data async for data in stream])
            if b'"sessions":0' in answer.replace(b" ", b""):
                return


def frame(message: bytes) -> bytes:
    """A masked text frame."""
    length = len(message)
    if length < 126:
        head = struct.pack("!BB", 0x81, 0x80 | length)
    elif length < 65_536:
        head = struct.pack("!BBH", 0x81, 0xFE, length)
    else:
        head = struct.pack("!BBQ", 0x81, 0xFF, length)
    return head + bytes(4) + message  # the mask is 0


async def raw_client(running: Daemon) -> trio.SocketStream:
    """A connection that was let in, and reads no more than that."""
    stream = await trio.open_tcp_stream("127.0.0.1", running.port)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await stream.send_all(HEAD)
    await stream.receive_some(1)
    return stream


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("this is not JSON", "invalid_json", None),
        ('{"type":"input_audio_buffer.apend"}', "invalid_value", "type"),
        ('{"type":"input_audio_buffer.append","audio":"*"}', "invalid_value", "audio"),
        ('{"type":"input_audio_buffer.append","audio":"AAAA"}', "invalid_value", "audio"),
    ],
)
async def test_bad_events_get_one_error_and_the_session_goes_on(
    shared_daemon: Daemon, message: str, code: str, param: str | None
) -> None:
    async with connected(shared_daemon.url) as client:
        await client.send_raw(message)
        error = await client.error()
        assert (error["code"], error["param"]) == (code, param)
        await client.nothing_comes()
        assert (await client.type_in("hello"))["status"] == "completed"


async def test_garbage_without_end_is_1002(shared_daemon: Daemon) -> None:
    async with connected(shared_daemon.url) as client:
        for _ in range(30):
            await client.send_raw("garbage")
        assert (await client.close_reason()).code == 1002
        assert client.types() == ["session.created", "error"]


async def test_events_without_end_are_refused_with_the_clients_own_id(
    shared_daemon: Daemon,
) -> None:
    async with connected(shared_daemon.url) as client:
        errors: list[dict[str, Any]] = []

        async def flood() -> None:
            for number in count():
                await client.send("response.cancel", event_id=f"event {number}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            # As long as it takes: while a slow client sends, its allowance grows again.
            while "rate_limit_exceeded" not in [error["code"] for error in errors[-1:]]:
                errors.append(await client.error())
            nursery.cancel_scope.cancel(reason="seen")
        assert len(errors) > 1000
        assert {error["code"] for error in errors[:-1]} == {"response_cancel_not_active"}
        assert [error["event_id"] for error in errors] == [f"event {n}" for n in range(len(errors))]
        # The cancelled sender may have left half a frame behind.
        await trio.aclose_forcefully(client.websocket._stream)


async def test_a_frame_of_50_mb_is_1009(shared_daemon: Daemon) -> None:
    before = shared_daemon.rss_mb()
    async with connected(shared_daemon.url) as other:
        async with connected(shared_daemon.url) as client:
            with contextlib.suppress(ConnectionClosed):
                await client.send_raw("x" * 50_000_000)
            assert (await client.close_reason()).code == 1009
        assert (await other.type_in("hello"))["status"] == "completed"
    assert shared_daemon.rss_mb() - before < MEMORY_MB


async def test_control_without_the_limit_the_frame_is_taken(tmp_path: Path) -> None:
    with daemon(tmp_path, VOICED_LIMITS__FRAME_BYTES="100000000") as running:
        async with connected(running.url) as client:
            await client.send_raw("x" * 50_000_000)
            assert (await client.error())["code"] == "invalid_json"


async def test_a_client_that_never_reads_is_cut_off(shared_daemon: Daemon) -> None:
    before = shared_daemon.rss_mb()
    update = '{"type":"session.update","session":{"type":"realtime","instructions":"%s"}}'
    big = frame((update % ("x" * 200_000)).encode())
    with trio.fail_after(CEILING_S):
        async with connected(shared_daemon.url) as other:
            async with await raw_client(shared_daemon) as stuck:
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await stuck.send_all(big)
            assert shared_daemon.rss_mb() - before < MEMORY_MB
            assert (await other.type_in("hello"))["status"] == "completed"
        await sessions_end(shared_daemon)
    causes = [e["cause"] for e in shared_daemon.log if e["event"] == "connection ended"]
    assert "the client does not read" in causes


async def test_control_without_the_limits_it_is_kept_and_costs_memory(tmp_path: Path) -> None:
    environ = {"VOICED_LIMITS__SEND_TIMEOUT_S": "600", "VOICED_LIMITS__OUTBOX_BYTES": "900000000"}
    update = '{"type":"session.update","session":{"type":"realtime","instructions":"%s"}}'
    big = frame((update % ("x" * 200_000)).encode())
    with daemon(tmp_path, **environ) as running, trio.fail_after(CEILING_S):
        before = running.rss_mb()
        async with await raw_client(running) as stuck:
            for _ in range(600):
                await stuck.send_all(big)
            async with connected(running.url) as other:
                await other.type_in("hello")
        assert running.rss_mb() - before > MEMORY_MB


@pytest.mark.parametrize("reset", [True, False])
async def test_a_client_that_vanishes_in_the_middle_of_a_word(
    shared_daemon: Daemon, spoken: bytes, reset: bool
) -> None:
    async with connected(shared_daemon.url) as other:
        stream = await raw_client(shared_daemon)
        audio = base64.b64encode(spoken).decode()
        append = frame(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'.encode())
        await stream.send_all(append * 3 + append[: len(append) // 2])
        if reset:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        assert (await other.type_in("hello"))["status"] == "completed"
    await sessions_end(shared_daemon)


async def test_200_half_open_connections(shared_daemon: Daemon) -> None:
    halves = []
    try:
        for number in range(200):
            stream = await trio.open_tcp_stream("127.0.0.1", shared_daemon.port)
            halves.append(stream)
            if number % 2:
                await stream.send_all(HEAD[:50])
        await a_turn_works(shared_daemon)

        async def closed(stream: trio.SocketStream) -> None:
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass

        with trio.fail_after(CEILING_S):
            async with trio.open_nursery() as nursery:
                for stream in halves:
                    nursery.start_soon(closed, stream)
    finally:
        for stream in halves:
            await trio.aclose_forcefully(stream)
    await a_turn_works(shared_daemon)


@pytest.mark.parametrize("speaking", [True, False])
async def test_an_append_flood(shared_daemon: Daemon, spoken: bytes, speaking: bool) -> None:
    before = shared_daemon.rss_mb()
    sound = spoken * 3 if speaking else silence(5_000)
    append = f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(sound).decode()}"}}'
    async with connected(shared_daemon.url) as other, open_socket(shared_daemon.url) as flooder:

        async def flood() -> None:
            while True:
                await flooder.send_message(append)

        async def read() -> None:
            while True:
                await flooder.get_message()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood)
            nursery.start_soon(read)
            for _ in range(3):
                assert (await other.type_in("hello"))["status"] == "completed"
            nursery.cancel_scope.cancel(reason="enough")
        assert shared_daemon.rss_mb() - before < MEMORY_MB
        # The cancelled sender may have left half a frame behind.
        await trio.aclose_forcefully(flooder._stream)


async def test_audio_far_ahead_is_refused_and_control_events_still_work(
    shared_daemon: Daemon,
) -> None:
    async with connected(shared_daemon.url) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.append(bytes(15 << 20))
        await client.send(
            "input_audio_buffer.append", audio=base64.b64encode(silence(20)).decode(), event_id="e"
        )
        error = await client.error()
        assert (error["code"], error["event_id"]) == ("rate_limit_exceeded", "e")
        assert (await client.type_in("hello"))["status"] == "completed"
