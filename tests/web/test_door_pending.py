"""Connections that make no proper request, and the life of the door itself."""

from __future__ import annotations

import contextlib
import errno
import ssl
from typing import TYPE_CHECKING

import pytest
import trio

from tests.web.harness import (
    Status,
    ask,
    connect,
    echo,
    error_of,
    get,
    make_app,
    make_settings,
    read_all,
    read_response,
    running,
    status_of,
    upgrade,
    websocket,
)
from voiced.errors import StartupError
from voiced.web.door import open_door
from voiced.web.streams import open_listeners

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def test_half_open_connections_keep_nobody_out() -> None:
    settings = make_settings(limits={"pending_connections": 8}, server={"head_timeout_s": 60.0})
    async with running(settings) as (door, port):
        idle = [await connect(port) for _ in range(200)]
        for stream in idle[::2]:
            await stream.send_all(b"GET /health HTTP/1.1\r\nHost: local")
        assert status_of(await ask(port, get())) == 200
        async with websocket(port) as client:
            await client.send_message("hello")
            assert await client.get_message() == "hello"
        assert door.connections <= 8 + 1  # the WebSocket may still be ending
        assert await read_all(idle[1]) == b""  # the oldest were closed
        for stream in idle:
            await stream.aclose()


async def test_without_a_bound_they_would_pile_up() -> None:
    # The control for the test above.
    settings = make_settings(limits={"pending_connections": 1000}, server={"drain_s": 0.01})
    async with running(settings) as (door, port):
        idle = [await connect(port) for _ in range(50)]
        assert status_of(await ask(port, get())) == 200
        assert door.connections >= 50
        for stream in idle:
            await stream.aclose()


async def test_a_head_that_dribbles_in_is_answered_408() -> None:
    settings = make_settings(server={"head_timeout_s": 0.1, "close_timeout_s": 1.0})

    async def dribble(stream: trio.SocketStream) -> None:
        try:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            while True:
                await stream.send_all(b"X")
                await trio.sleep(0.005)  # the pace of the attack
        except trio.BrokenResourceError:
            pass

    async with (
        running(settings) as (_, port),
        await connect(port) as stream,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(dribble, stream)
        response = await read_all(stream)
        nursery.cancel_scope.cancel()
    assert status_of(response) == 408
    assert error_of(response)["code"] == "request_timeout"


async def test_one_who_says_nothing_is_closed_without_an_answer() -> None:
    async with running(make_settings(server={"head_timeout_s": 0.05})) as (_, port):
        assert await ask(port, b"") == b""


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431, "request_head_too_large"),
        (b"GET /" + b"x" * 40_000, 431, "request_head_too_large"),
        (b"\0\1\2\3garbage\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400, "malformed_request"),
        (b"GET /?" + b"&".join([b"a=1"] * 99) + b" HTTP/1.0\r\n\r\n", 400, "malformed_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"),
        (get(host="evil.example"), 421, "unknown_host"),
        (b"GET / HTTP/1.0\r\n\r\n", 421, "unknown_host"),
        (get("/health", "Origin: https://evil.example"), 403, "origin_not_allowed"),
    ],
)
async def test_a_request_that_cannot_be_gets_a_short_answer(
    request_: bytes, status: int, code: str
) -> None:
    async with running() as (_, port):
        response = await ask(port, request_)
        assert status_of(response) == status
        assert error_of(response)["code"] == code
        assert status_of(await ask(port, get())) == 200  # others are served


async def test_tls_on_the_plain_port_is_named_as_such() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    async with running() as (_, port):
        response = await ask(port, outgoing.read())
    assert error_of(response)["code"] == "tls_on_plain_port"


async def test_websockets_and_http_share_the_port() -> None:
    async with running() as (door, port):
        assert len(door.addresses) == 1
        async with websocket(port) as client:
            assert status_of(await ask(port, get())) == 200
            await client.send_message("hello")
            assert await client.get_message() == "hello"


async def test_a_shortage_of_descriptors_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    accept: Callable[[trio.SocketListener], Awaitable[trio.SocketStream]]
    accept = trio.SocketListener.accept
    shortages = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

    async def scarce(listener: trio.SocketListener) -> trio.SocketStream:
        if shortages:
            raise OSError(shortages.pop(), "out of something")
        return await accept(listener)

    monkeypatch.setattr(trio.SocketListener, "accept", scarce)
    async with running() as (_, port):
        assert status_of(await ask(port, get())) == 200
    assert not shortages


async def test_stopping_and_draining_twice_is_fine() -> None:
    async with running() as (door, port):
        await door.stop()
        await door.stop()
        await door.drain()
        await door.drain()
        with pytest.raises(OSError, match=r"refused|failed"):
            await connect(port)


async def test_stopping_closes_whoever_has_not_asked_for_anything() -> None:
    settings = make_settings(server={"head_timeout_s": 60.0, "keep_alive_s": 60.0, "drain_s": 60.0})
    async with (
        running(settings) as (door, port),
        await connect(port) as silent,
        await connect(port) as idle,
    ):
        await idle.send_all(get(close=False))
        await read_response(idle)
        await door.drain()
        assert await read_all(silent) == b""
        assert await read_all(idle) == b""


async def test_cancelling_the_door_in_the_middle_leaves_nothing() -> None:
    settings = make_settings(server={"head_timeout_s": 60.0, "drain_s": 60.0})
    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listeners[0].socket.getsockname()[1]
    tasks = trio.lowlevel.current_statistics().tasks_living
    streams = []
    with trio.CancelScope() as scope:
        async with open_door(listeners, settings, app=make_app(Status(settings)), handler=echo):
            for request in (b"", b"GET", get(close=False), upgrade()):
                stream = await connect(port)
                await stream.send_all(request)
                streams.append(stream)
            await read_response(streams[2])
            await streams[3].receive_some()
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    for stream in streams:
        async with stream:
            await read_until_closed(stream)


async def read_until_closed(stream: trio.SocketStream) -> None:
    with contextlib.suppress(trio.BrokenResourceError):
        await read_all(stream)


async def test_a_failure_of_the_block_cuts_off_and_comes_out() -> None:
    settings = make_settings(server={"drain_s": 60.0})
    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012  # the block is the point
        async with (
            open_door(listeners, settings, app=make_app(Status(settings)), handler=echo),
            await connect(port) as stream,
        ):
            await stream.send_all(upgrade())
            await stream.receive_some()
            raise ValueError("of the daemon's own")
    assert caught.group_contains(ValueError)


async def test_a_port_in_use_is_told_in_one_line_that_helps() -> None:
    [listener] = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listener.socket.getsockname()[1]
    async with listener:
        with pytest.raises(StartupError) as caught:
            await open_listeners("127.0.0.1", port, send_timeout_s=5.0)
    message = str(caught.value)
    assert f"127.0.0.1 port {port}: the port is in use" in message
    assert "server.port" in message
    assert "\n" not in message


async def test_an_address_of_another_machine_is_told_too() -> None:
    with pytest.raises(StartupError, match=r"192\.0\.2\.7 port 0: not an address of this machine"):
        await open_listeners("192.0.2.7", 0, send_timeout_s=5.0)


async def test_accepted_sockets_notice_peers_that_have_gone() -> None:
    seen: list[tuple[int, int, int]] = []

    def inspect(stream: trio.SocketStream) -> str:
        option = stream.socket.getsockopt
        tcp = trio.socket.IPPROTO_TCP
        seen.append(
            (
                option(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE),
                option(tcp, trio.socket.TCP_NODELAY),
                option(tcp, trio.socket.TCP_USER_TIMEOUT),
            )
        )
        return "127.0.0.1"

    settings = make_settings()
    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listeners[0].socket.getsockname()[1]
    async with open_door(
        listeners, settings, app=make_app(Status(settings)), handler=echo, peer=inspect
    ):
        assert status_of(await ask(port, get())) == 200
    assert seen == [(1, 1, 5000)]
