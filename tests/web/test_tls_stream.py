"""The server's TLS stream by itself: its end in two steps, twice, and cut short."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from tests.certificates import certify
from tests.patience import CEILING_S
from voiced.web.streams import linger
from voiced.web.tls import FileCertificate, TlsStream, shake_hands

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    Client = trio.SSLStream[trio.SocketStream]


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[TlsStream, Client]]:
    """Both ends of a connection, after the handshake."""
    certified = certify(folder)
    ours, theirs = trio.socket.socketpair()
    server = trio.SocketStream(ours)
    client = trio.SSLStream(
        trio.SocketStream(theirs), certified.client_context(), server_hostname="localhost"
    )
    context = FileCertificate(certified.cert, certified.key).context
    shaken: list[TlsStream] = []

    async def shake() -> None:
        shaken.append(await shake_hands(server, context, timeout_s=5, close_timeout_s=1))

    try:
        with trio.fail_after(CEILING_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(shake)
                await client.do_handshake()
            yield shaken[0], client
    finally:
        ours.close()
        theirs.close()


async def test_it_carries_bytes_both_ways_and_goes_on_listening_after_its_end(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (server, client):
        await client.send_all(b"question")
        assert await server.receive_some(4) == b"ques"
        assert await server.receive_some() == b"tion"
        await server.send_all(b"answer")
        await server.send_eof()
        assert await client.receive_some() == b"answer"
        assert await client.receive_some() == b""  # in due form: the client is strict
        await client.transport_stream.send_all(b"too late")
        assert await server.receive_some() == b"too late"


async def test_ending_and_closing_twice_is_fine(tmp_path: Path) -> None:
    async with pair(tmp_path) as (server, client):
        await server.send_eof()
        await server.send_eof()
        await server.aclose()
        await server.aclose()
        assert await client.receive_some() == b""
        with pytest.raises(trio.ClosedResourceError):
            await server.receive_some()
        with pytest.raises(trio.ClosedResourceError):
            await server.send_all(b"x")


async def test_a_peer_that_has_left_ends_it_however_it_left(tmp_path: Path) -> None:
    async with pair(tmp_path / "a") as (server, client):
        await client.aclose()
        assert await server.receive_some() == b""
    async with pair(tmp_path / "b") as (server, client):
        await trio.aclose_forcefully(client.transport_stream)
        assert await server.receive_some() == b""
        await server.aclose()


async def test_lingering_ends_with_the_peer(tmp_path: Path) -> None:
    async with pair(tmp_path) as (server, client), trio.open_nursery() as nursery:
        nursery.start_soon(linger, server, CEILING_S)
        assert await client.receive_some() == b""
        await client.transport_stream.send_all(bytes(100_000))
        await client.transport_stream.send_eof()


async def test_closing_in_face_of_a_peer_that_does_not_read_can_be_cut_short(
    tmp_path: Path,
) -> None:
    async with pair(tmp_path) as (server, _):
        with trio.move_on_after(0.2) as sending:
            await server.send_all(bytes(50_000_000))
        assert sending.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):  # half a record is on its way
            await server.send_all(b"x")
        with trio.move_on_after(0.2):
            await server.aclose()
        assert server.socket.fileno() == -1


async def test_cancelled_while_it_closes_it_is_closed(tmp_path: Path) -> None:
    async with pair(tmp_path) as (server, client):
        with trio.CancelScope() as scope:
            scope.cancel(reason="at once")
            await server.aclose()
        assert server.socket.fileno() == -1
        with pytest.raises(trio.BrokenResourceError) as broken:
            await client.receive_some()
        assert isinstance(broken.value.__cause__, ssl.SSLEOFError)
