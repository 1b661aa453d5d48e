"""A scripted HTTP server on loopback that providers are tested against.

It is a real server on a real socket, so that connections break and stall as they do in life. Each
request is handed to the next of its scripts; the last one goes on for ever.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import h11
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping, Sequence


class Exchange:
    """One request, and the means to answer it."""

    def __init__(
        self, connection: h11.Connection, stream: trio.abc.Stream, head: h11.Request, body: bytes
    ) -> None:
        self._connection = connection
        self._stream = stream
        self.method = head.method.decode()
        self.path = head.target.decode()
        self.headers = {name.decode(): value.decode() for name, value in head.headers}
        self.body = body

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was sent
        return json.loads(self.body)

    async def begin(self, status: int = 200, **headers: str) -> None:
        """The head of the answer; `content_type` and the like are its headers."""
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        await self._send(h11.Response(status_code=status, headers=named))

    async def send(self, data: bytes) -> None:
        """More of its body."""
        await self._send(h11.Data(data=data))

    async def end(self) -> None:
        """All of it is said."""
        await self._send(h11.EndOfMessage())

    async def whole(self, data: bytes, status: int = 200, **headers: str) -> None:
        """A complete answer."""
        await self.begin(status, content_length=str(len(data)), **headers)
        await self.send(data)
        await self.end()

    async def events(self, *events: object, done: bool = True) -> None:
        """Server-sent events, each a JSON value or bytes that are sent as they are."""
        for event in events:
            data = event if isinstance(event, bytes) else json.dumps(event).encode()
            await self.send(b"data: " + data + b"\n\n")
        if done:
            await self.send(b"data: [DONE]\n\n")

    async def break_off(self) -> None:
        """Drop the connection in the middle."""
        await trio.aclose_forcefully(self._stream)

    async def wait_gone(self) -> None:
        """Wait until the client has left."""
        try:
            while await self._stream.receive_some(4096):
                pass
        except trio.BrokenResourceError:
            pass

    async def _send(self, event: Any) -> None:  # noqa: ANN401 - h11 has no common base for events
        data = self._connection.send(event)
        if data:
            await self._stream.send_all(data)


Script = Callable[[Exchange], Awaitable[None]]


class HttpPeer:
    """The server: where it is, and what it was asked."""

    def __init__(self, url: str, scripts: Sequence[Script]) -> None:
        self.url = url
        self.scripts = list(scripts)
        self.asked: list[Exchange] = []
        """All requests but those for the list of models."""
        self.checks = 0
        """How often it was looked at."""
        self.connections = 0
        self.open = 0
        """Connections that are open now."""
        self.healthy: Script = answer_models

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end."""
        self.connections += 1
        self.open += 1
        connection = h11.Connection(h11.SERVER)
        try:
            async with stream:
                while await self._serve_one(connection, stream):
                    connection.start_next_cycle()
        except (
            trio.BrokenResourceError,
            trio.ClosedResourceError,
            h11.RemoteProtocolError,
            h11.LocalProtocolError,
        ):
            pass  # the client, or the script, has broken it off
        finally:
            self.open -= 1

    async def _serve_one(self, connection: h11.Connection, stream: trio.abc.Stream) -> bool:
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(65_536)))
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert head is not None
        exchange = Exchange(connection, stream, head, body)
        if exchange.method == "GET":
            self.checks += 1
            await self.healthy(exchange)
        else:
            self.asked.append(exchange)
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            await script(exchange)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE


@asynccontextmanager
async def http_peer(*scripts: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[HttpPeer]:
    """A server on a port of its own; its connections are cut at the end."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        scheme = "http" if tls is None else "https"
        peer = HttpPeer(f"{scheme}://127.0.0.1:{port}/v1", scripts)

        async def serve(stream: trio.abc.Stream) -> None:
            if tls is not None:
                stream = trio.SSLStream(
                    stream,
                    tls,
                    server_side=True,
                    https_compatible=True,
                )
            await peer.serve(stream)

        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield peer
        nursery.cancel_scope.cancel(reason="the test is over")


# -- scripts --------------------------------------------------------------------------------


async def answer_models(exchange: Exchange) -> None:
    """`GET /models`."""
    await exchange.whole(b'{"object":"list","data":[]}', content_type="application/json")


def answer(status: int, body: object = None, **headers: str) -> Script:
    """Any answer in one piece."""

    async def script(exchange: Exchange) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        await exchange.whole(data, status, content_type="application/json", **headers)

    return script


def chunk(text: str | None = None, *, finish: str | None = None, **more: object) -> dict[str, Any]:
    """One chunk of a chat completion."""
    delta: Mapping[str, object] = {} if text is None else {"content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {**delta, **more}, "finish_reason": finish}],
    }


def says(*texts: str) -> Script:
    """A streamed chat completion."""
    return streams(
        chunk("", role="assistant"),
        *(chunk(text) for text in texts),
        chunk(finish="stop"),
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": len(texts)}},
    )


def streams(*events: object, done: bool = True) -> Script:
    """A stream of these events and its end."""

    async def script(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        await exchange.events(*events, done=done)
        await exchange.end()

    return script
