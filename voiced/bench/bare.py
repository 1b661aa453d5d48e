"""The least that a WebSocket server on Trio can do with a message: `python -m` this.

What `voiced bench ingest` holds the daemon's receive path against: wsproto over a trio stream,
each message put together and then forgotten. With `--decode` it is also decoded as one does who
has nothing but the standard library: json, then base64. No limits, no pings, no session.

Writes `{"port": N}` to standard output when it listens; ends when standard input does.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING

import msgspec
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Request, TextMessage

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_BYTES = 16_384  # as the daemon


def forget(message: str) -> int:
    """Do nothing with a message; its length in characters."""
    return len(message)


def decode_plainly(message: str) -> int:
    """Decode an append with the standard library; the length of its audio in bytes."""
    audio = json.loads(message).get("audio", "")
    return len(base64.b64decode(audio))


async def serve_peer(stream: trio.SocketStream, take: Callable[[str], int]) -> None:
    """Receive from one client until it leaves."""
    protocol = WSConnection(ConnectionType.SERVER)
    parts: list[str] = []
    async with stream:
        while True:
            for event in protocol.events():
                if isinstance(event, TextMessage):
                    parts.append(event.data)
                    if event.message_finished:
                        take("".join(parts))
                        parts.clear()
                elif isinstance(event, Request):
                    await stream.send_all(protocol.send(AcceptConnection()))
                elif isinstance(event, Ping):
                    await stream.send_all(protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    return
            data = await stream.receive_some(_READ_BYTES)
            if not data:
                return
            protocol.receive_data(data)


async def serve(take: Callable[[str], int]) -> None:
    """Serve on a free port of loopback until standard input ends."""

    async def handle(stream: trio.SocketStream) -> None:
        # A client that left in the middle of something is no fault.
        try:
            await serve_peer(stream, take)
        except trio.BrokenResourceError:
            return

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        sys.stdout.write(msgspec.json.encode({"port": port}).decode() + "\n")
        sys.stdout.flush()
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stdin:
            while await stdin.receive_some():
                pass
        nursery.cancel_scope.cancel(reason="standard input has ended")


if __name__ == "__main__":
    trio.run(serve, decode_plainly if "--decode" in sys.argv[1:] else forget)
