"""The client's connection: greetings, refusals, losses, and leaving."""

from __future__ import annotations

import json
import socket
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from tests.client.scripted_peer import Peer, serve_script
from tests.patience import CEILING_S
from voiced.client.address import parse_address, server_url
from voiced.client.connection import open_client
from voiced.client.dial import ServerAbsent
from voiced.errors import ClientError, UsageError
from voiced.settings import Server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from trio_websocket import WebSocketRequest


async def test_client_greets_configures_and_sends_its_token() -> None:
    requests: list[WebSocketRequest] = []

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.linger()

    async with serve_script(script, requests) as url, open_client(url, "secret") as client:
        assert client.session["id"] == "sess_1"
        await client.configure({"output_modalities": ["audio"]})
        assert client.session["output_modalities"] == ["audio"]
        assert client.session["type"] == "realtime"
    assert dict(requests[0].headers)[b"authorization"] == b"Bearer secret"
    assert requests[0].path == "/v1/realtime"


async def test_nothing_listening_is_said_with_its_cause() -> None:
    with socket_port() as port, pytest.raises(ServerAbsent, match=r"nothing answers .*refused"):
        async with open_client(f"ws://127.0.0.1:{port}"):
            pass


async def test_error_before_the_greeting_is_the_refusal() -> None:
    async def script(peer: Peer) -> None:
        error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Bad key."}
        await peer.send("error", error=error)
        await peer.websocket.aclose(3000, "invalid_request_error.invalid_api_key")

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match=r"Bad key\. \(invalid_api_key\)"):
            async with open_client(url):
                pass


async def test_refused_update_is_the_refusal() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.expect("session.update")
        error = {"code": "unknown_parameter", "message": "What is colour?"}
        await peer.send("error", error=error)
        await peer.linger()

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match=r"What is colour\? \(unknown_parameter\)"):
            async with open_client(url) as client:
                await client.configure({"colour": 1})


@pytest.mark.parametrize(
    ("code", "said"), [(1001, "shutting down"), (1011, "failed internally"), (4029, "too many")]
)
async def test_close_code_is_put_into_words(code: int, said: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.websocket.aclose(code)

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match=f"{said}.*code {code}"):
            async with open_client(url) as client:
                await client.receive()


@pytest.mark.parametrize("garbage", ["", "[]", "{", '{"type":3}', b"\xff\x00"])
async def test_garbage_ends_the_connection(garbage: str | bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.websocket.send_message(garbage)
        await peer.linger()

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match="no event"):
            async with open_client(url) as client:
                await client.receive()


async def test_events_before_the_loss_are_delivered_first() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        for number in range(50):
            await peer.send("response.output_text.delta", delta=str(number))
        await peer.websocket.aclose(1001)

    async with serve_script(script) as url, open_client(url) as client:
        texts = [(await client.receive()).event["delta"] for _ in range(50)]
        with pytest.raises(ClientError):
            await client.receive()
    assert texts == [str(number) for number in range(50)]


@contextmanager
def socket_port() -> Iterator[int]:
    """A port that is bound and refuses connections, since nobody listens on it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@asynccontextmanager
async def serve_tcp(
    handler: Callable[[trio.SocketStream], Awaitable[None]],
) -> AsyncGenerator[str, None]:
    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(stream)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel(reason="the test is over")


async def hang_up(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def answer_nonsense(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def answer_http(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    await stream.send_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 12\r\n\r\nunknown host")


async def ping_over_the_close(stream: trio.SocketStream) -> None:
    """Greet; once the client closes, ping it before that is answered."""
    server = WSConnection(ConnectionType.SERVER)
    while True:
        server.receive_data(await stream.receive_some())
        for event in server.events():
            if isinstance(event, Request):
                greeting = json.dumps({"type": "session.created", "session": {"id": "sess_1"}})
                answer = server.send(AcceptConnection())
                await stream.send_all(answer + server.send(TextMessage(greeting)))
            elif isinstance(event, CloseConnection):
                await stream.send_all(b"\x89\0" + server.send(event.response()))
                return


async def test_ping_that_crosses_the_close_is_ignored() -> None:
    # tests/web/test_door_websocket.py has the control: trio-websocket answers it, and fails.
    async with serve_tcp(ping_over_the_close) as url, open_client(url) as client:
        assert client.session["id"] == "sess_1"


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (hang_up, "not speak WebSocket"),
        (answer_nonsense, "not speak WebSocket"),
        (answer_http, "HTTP status 403"),
    ],
)
async def test_server_that_is_none_is_told_from_one_that_is_slow(
    server: Callable[[trio.SocketStream], Awaitable[None]], said: str
) -> None:
    async with serve_tcp(server) as url:
        # Far below the deadline for connecting, which would say something else.
        with trio.fail_after(CEILING_S), pytest.raises(ClientError, match=said):
            async with open_client(url, connect_s=2 * CEILING_S):
                pass


async def test_server_without_tls_is_said_to_have_none() -> None:
    async with serve_tcp(answer_nonsense) as url:
        with pytest.raises(ClientError, match="does not speak TLS"):
            async with open_client(url.replace("ws:", "wss:")):
                pass


async def test_silent_server_is_given_up_at_the_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.linger()

    async with serve_script(script) as url:
        with pytest.raises(ClientError, match=r"did not answer within 0\.1 s"):
            async with open_client(url, connect_s=0.1):
                pass


async def test_exception_of_the_body_comes_out_unwrapped() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.linger()

    async with serve_script(script) as url:
        with pytest.raises(LookupError, match="mine"):
            async with open_client(url):
                raise LookupError("mine")
        with pytest.raises(trio.TooSlowError):
            async with open_client(url):
                raise trio.TooSlowError


async def test_cancelled_client_leaves_and_the_server_sees_it() -> None:
    gone = trio.Event()
    waiting = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.linger()
        gone.set()

    async with serve_script(script) as url:
        async with trio.open_nursery() as nursery:

            async def stay() -> None:
                async with open_client(url) as client:
                    waiting.set()
                    await client.receive()

            nursery.start_soon(stay)
            await waiting.wait()
            nursery.cancel_scope.cancel(reason="the test wants it")
        with trio.fail_after(CEILING_S):
            await gone.wait()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "ws://", "127.0.0.1:80", "ws://a:b", "ws://["])
def test_what_is_no_websocket_url_is_bad_usage(url: str) -> None:
    with pytest.raises(UsageError):
        parse_address(url)


@pytest.mark.parametrize(
    ("url", "netloc", "resource"),
    [
        ("ws://box", "box:80", "/v1/realtime"),
        ("wss://box/", "box:443", "/v1/realtime"),
        ("ws://[::1]:8080/v1/realtime?model=x", "[::1]:8080", "/v1/realtime?model=x"),
    ],
)
def test_url_is_completed(url: str, netloc: str, resource: str) -> None:
    address = parse_address(url)
    assert (address.netloc, address.resource) == (netloc, resource)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "ws://127.0.0.1:8080/v1/realtime"),
        ("0.0.0.0", "ws://127.0.0.1:8080/v1/realtime"),
        ("::", "ws://[::1]:8080/v1/realtime"),
        ("box.local", "ws://box.local:8080/v1/realtime"),
    ],
)
def test_daemon_is_looked_for_where_its_settings_say(host: str, url: str) -> None:
    assert server_url(Server(host=host)) == url
