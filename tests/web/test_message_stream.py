"""The stream below a WebSocket: one buffer for all, and no stream hears another's bytes."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from voiced.web.streams import MessageStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def stream_and_peer() -> AsyncIterator[tuple[MessageStream, trio.SocketStream]]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = await trio.open_tcp_stream(*listener.getsockname())
        accepted, _ = listener.accept()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(accepted))
    async with stream, peer:
        yield MessageStream(stream), peer


async def test_what_comes_is_received_as_it_came_up_to_the_end() -> None:
    async with stream_and_peer() as (stream, peer):
        await peer.send_all(b"hello")
        assert await stream.receive_some(4) == b"hell"
        assert await stream.receive_some() == b"o"
        await peer.send_eof()
        assert await stream.receive_some() == b""


async def test_streams_that_wait_at_once_hear_each_their_own_peer() -> None:
    heard: dict[int, bytes] = {}

    async def hear(number: int, stream: MessageStream) -> None:
        heard[number] = await stream.receive_some()

    async with stream_and_peer() as (one, peer_of_one), stream_and_peer() as (two, peer_of_two):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear, 1, one)
            nursery.start_soon(hear, 2, two)
            await peer_of_one.send_all(b"to the first")
            await peer_of_two.send_all(b"to the second")
        assert heard == {1: b"to the first", 2: b"to the second"}


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with stream_and_peer() as (stream, peer):
        with trio.CancelScope() as scope:
            scope.cancel(reason="the test wants it")
            await stream.receive_some()
        assert scope.cancelled_caught
        await peer.send_all(b"still here")
        assert await stream.receive_some() == b"still here"


async def test_a_peer_that_resets_the_connection_has_broken_it() -> None:
    async with stream_and_peer() as (stream, peer):
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await peer.aclose()
        with pytest.raises(trio.BrokenResourceError, match="cannot receive"):
            await stream.receive_some()


async def test_closing_wakes_who_receives_and_later_ones_are_told() -> None:
    async with stream_and_peer() as (stream, _):
        async with trio.open_nursery() as nursery:

            async def receive() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await stream.receive_some()

            nursery.start_soon(receive)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        await stream.aclose()  # twice is fine
