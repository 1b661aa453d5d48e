"""WebSockets through the front door, over real sockets on loopback."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketServer
from wsproto.utilities import LocalProtocolError

from tests.web.harness import (
    REMOTE,
    ask,
    connect,
    echo,
    error_of,
    get,
    make_settings,
    read_all,
    read_close,
    running,
    status_of,
    upgrade,
    websocket,
)
from voiced.web.streams import open_listeners

if TYPE_CHECKING:
    from voiced.web.websocket import Upgrade

KEY = "openai-insecure-api-key.s3cret"
MASK = b"\1\2\3\4"


def frame(opcode: int, payload: bytes, *, masked: bool = True) -> bytes:
    """A short client frame, to send what no client library would."""
    head = bytes([0x80 | opcode, (0x80 if masked else 0) | len(payload)])
    if not masked:
        return head + payload
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def close_code(received: bytes) -> int:
    """The code of the Close frame at the end of what the server sent."""
    start = received.rindex(b"\x88")
    return int(struct.unpack("!H", received[start + 2 : start + 4])[0])


async def read_head(stream: trio.SocketStream) -> bytes:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += await stream.receive_some(1)
    return data


async def refused(port: int, **options: Any) -> tuple[dict[str, Any], int, str | None]:  # noqa: ANN401  # handed on
    """Connect; return the one error event, and the code and reason of the Close after it."""
    async with websocket(port, **options) as client:
        event = json.loads(await client.get_message())
        assert event["type"] == "error"
        code, reason = await read_close(client)
        return event["error"], code, reason


async def test_the_handler_gets_the_connection_and_the_request_without_its_key() -> None:
    seen: list[Upgrade] = []

    async def handler(ws: WebSocketConnection, request: Upgrade) -> None:
        seen.append(request)
        await echo(ws, request)

    async with (
        running(handler=handler) as (_, port),
        websocket(
            port,
            "/v1/realtime?model=a%20b&intent=",
            protocols=("realtime", KEY),
            headers={"Authorization": "Bearer s3cret", "User-Agent": "test"},
        ) as client,
    ):
        await client.send_message("hello")
        assert await client.get_message() == "hello"
    [request] = seen
    assert request.path == "/v1/realtime"
    assert request.query == {"model": "a b", "intent": ""}
    assert request.headers == {"user-agent": "test"}
    assert request.remote == "127.0.0.1"
    assert request.subprotocols == ("realtime",)
    assert "s3cret" not in repr(request)


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ((), None),
        (("realtime",), "realtime"),
        ((KEY, "realtime", "openai-agents-sdk.0.20.0"), "realtime"),
        ((KEY,), None),
    ],
)
async def test_of_the_subprotocols_only_realtime_is_answered(
    offered: tuple[str, ...], answered: str | None
) -> None:
    async with running() as (_, port), websocket(port, protocols=offered) as client:
        assert client.subprotocol == answered


async def test_frames_sent_together_with_the_head_are_not_lost() -> None:
    async with running() as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade() + frame(1, b"early"))
        assert b" 101 " in await read_head(stream)
        assert await stream.receive_some() == b"\x81\x05early"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (upgrade("/v1/other"), 404),
        (upgrade("/v1/realtime", "Origin: https://evil.example"), 403),
        (upgrade().replace(b"localhost", b"evil.example"), 421),
        (upgrade(version="8"), 426),
        (upgrade().replace(b"Sec-WebSocket-Key", b"X-Key"), 400),
    ],
)
async def test_an_upgrade_that_cannot_be_is_refused_before_it(request_: bytes, status: int) -> None:
    async with running() as (_, port):
        response = await ask(port, request_)
    assert status_of(response) == status
    assert error_of(response)["message"]


async def test_a_page_of_an_allowed_origin_gets_in() -> None:
    settings = make_settings(server={"origins": ("https://app.example",)})
    async with (
        running(settings) as (_, port),
        websocket(port, headers={"Origin": "https://app.example"}) as client,
    ):
        await client.send_message("hello")
        assert await client.get_message() == "hello"


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"OpenAI-Beta": "realtime=v1"}},
        {"headers": {"OpenAI-Beta": "assistants=v2, realtime=v1"}},
        {"protocols": ("realtime", "openai-beta.realtime-v1")},
    ],
)
async def test_clients_of_the_beta_are_told_so(options: dict[str, Any]) -> None:
    async with running() as (_, port):
        error, code, reason = await refused(port, **options)
    assert error["code"] == "beta_api_shape_disabled"
    assert (code, reason) == (4000, "invalid_request_error.beta_api_shape_disabled")


async def test_from_elsewhere_a_missing_or_wrong_key_ends_in_an_error_and_3000() -> None:
    async with running(make_settings(token="s3cret"), remote=REMOTE) as (door, port):
        error, *end = await refused(port)
        assert (error["type"], error["code"]) == ("invalid_request_error", None)
        assert end == [3000, "invalid_request_error"]
        for options in (
            {"headers": {"Authorization": "Bearer wrong"}},
            {"protocols": ("realtime", "openai-insecure-api-key.wrong")},
        ):
            error, *end = await refused(port, **options)
            assert error["code"] == "invalid_api_key"
            assert error["param"] is error["event_id"] is None
            assert end == [3000, "invalid_request_error.invalid_api_key"]
        assert door.websockets == 0


async def test_from_elsewhere_the_token_opens() -> None:
    async with running(make_settings(token="s3cret"), remote=REMOTE) as (_, port):
        for options in ({"headers": {"Authorization": "Bearer s3cret"}}, {"protocols": (KEY,)}):
            async with websocket(port, **options) as client:
                await client.send_message("hello")
                assert await client.get_message() == "hello"


async def test_from_here_a_wrong_key_is_no_matter() -> None:
    async with (
        running(make_settings(token="s3cret")) as (_, port),
        websocket(port, headers={"Authorization": "Bearer local"}) as client,
    ):
        await client.send_message("hello")
        assert await client.get_message() == "hello"


async def test_from_here_the_token_is_needed_where_that_is_set() -> None:
    settings = make_settings(token="s3cret", token_on_loopback=True)
    async with running(settings) as (_, port):
        _, *end = await refused(port, headers={"Authorization": "Bearer local"})
        assert end == [3000, "invalid_request_error.invalid_api_key"]
        assert status_of(await ask(port, get("/ready"))) == 401
        async with websocket(port, headers={"Authorization": "Bearer s3cret"}) as client:
            await client.send_message("hello")
            assert await client.get_message() == "hello"


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"connections_per_address": 2}, "too_many_connections"),
        ({"sessions": 2}, "too_many_sessions"),
    ],
)
async def test_one_connection_too_many_gets_4029_until_another_has_left(
    limits: dict[str, int], code: str
) -> None:
    async with running(make_settings(limits=limits)) as (_, port), websocket(port) as first:
        async with websocket(port) as second:
            await second.send_message("in")
            await second.get_message()
            error, *end = await refused(port)
            assert error["code"] == code
            assert end == [4029, f"invalid_request_error.{code}"]
            await first.send_message("undisturbed")
            assert await first.get_message() == "undisturbed"
        async with websocket(port) as third:
            await third.send_message("in again")
            assert await third.get_message() == "in again"


async def test_a_handler_that_fails_ends_only_its_own_connection() -> None:
    async def handler(ws: WebSocketConnection, request: Upgrade) -> None:
        if request.query.get("model") == "bad":
            raise RuntimeError("a secret of the inside")
        await echo(ws, request)

    async with running(handler=handler) as (_, port), websocket(port) as good:
        async with websocket(port, "/v1/realtime?model=bad") as bad:
            assert await read_close(bad) == (1011, "internal error")
        await good.send_message("hello")
        assert await good.get_message() == "hello"


async def test_a_handler_that_returns_closes_normally() -> None:
    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await ws.send_message("that is all")

    async with running(handler=handler) as (_, port), websocket(port) as client:
        assert await client.get_message() == "that is all"
        assert await read_close(client) == (1000, None)


async def test_the_handler_learns_that_its_peer_vanished() -> None:
    gone = trio.Event()

    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        try:
            await ws.get_message()
        except ConnectionClosed:
            gone.set()
            raise

    async with running(handler=handler) as (door, port):
        async with await connect(port) as stream:
            await stream.send_all(upgrade())
            await read_head(stream)
        await gone.wait()
        await door.drain()
        assert door.connections == door.websockets == 0


async def test_a_message_that_is_too_long_gets_1009_though_it_is_still_coming() -> None:
    settings = make_settings(limits={"frame_bytes": 1000})
    async with running(settings) as (_, port), websocket(port) as client:
        await client.send_message("x" * 4_000_000)
        code, _ = await read_close(client)
    assert code == 1009


async def test_the_longest_message_the_protocol_asks_for_passes() -> None:
    message = "x" * (21 * 1024 * 1024)

    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await ws.send_message(str(len(await ws.get_message())))

    async with running(handler=handler) as (_, port), websocket(port) as client:
        await client.send_message(message)
        assert await client.get_message() == str(len(message))


@pytest.mark.parametrize(
    ("garbage", "code"),
    [
        (frame(1, b"not masked", masked=False), 1002),
        (frame(3, b"no such opcode"), 1002),
        (frame(1, b"\xff\xfe"), 1007),
    ],
)
async def test_a_malformed_frame_is_answered_with_its_close_code(garbage: bytes, code: int) -> None:
    async with running() as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade() + garbage)
        assert close_code(await read_all(stream)) == code


async def test_trio_websocket_still_says_nothing_to_a_malformed_frame() -> None:
    # The control for DoorSocket: once this fails, upstream answers by itself.
    async def handler(request: Any) -> None:  # noqa: ANN401  # trio-websocket's own type
        await echo(await request.accept(), request)

    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012  # the nursery is the point
        async with trio.open_nursery() as nursery:
            await nursery.start(WebSocketServer(handler, listeners).run)
            async with await connect(port) as stream:
                await stream.send_all(upgrade())
                head = await read_head(stream)
                await stream.send_all(frame(3, b"no such opcode"))
                assert head + await read_all(stream) == head
                await trio.sleep_forever()
    assert caught.group_contains(ConnectionClosed)  # and a closed peer ends the whole server


async def test_a_ping_that_crosses_our_close_is_ignored() -> None:
    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await ws.get_message()

    async with running(handler=handler) as (door, port), await connect(port) as stream:
        await stream.send_all(upgrade() + frame(1, b"go"))
        data = await read_head(stream)
        while not data.endswith(b"\x88\x02\x03\xe8"):  # our Close 1000
            data += await stream.receive_some()
        await stream.send_all(frame(9, b"ping") + frame(8, b"\x03\xe8"))
        assert await read_all(stream) == b""
        await door.drain()


async def test_trio_websocket_still_fails_on_a_ping_that_crosses_its_close() -> None:
    # The control for DoorSocket: once this fails, upstream ignores such a ping by itself.
    async def handler(request: Any) -> None:  # noqa: ANN401  # trio-websocket's own type
        await request.accept()

    async def client(port: int) -> None:
        async with await connect(port) as stream:
            await stream.send_all(upgrade())
            data = await read_head(stream)
            while not data.endswith(b"\x88\x02\x03\xe8"):
                data += await stream.receive_some()
            await stream.send_all(frame(9, b"ping"))
            await trio.sleep_forever()

    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012  # the nursery is the point
        async with trio.open_nursery() as nursery:
            await nursery.start(WebSocketServer(handler, listeners).run)
            await client(port)
    assert caught.group_contains(LocalProtocolError)


async def test_pings_are_answered_while_the_handler_does_other_things() -> None:
    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await trio.sleep_forever()

    settings = make_settings(server={"drain_s": 0.01})
    async with running(settings, handler=handler) as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade())
        await read_head(stream)
        await stream.send_all(frame(9, b"ping"))
        assert await stream.receive_some() == b"\x8a\x04ping"


async def test_a_peer_that_closes_while_the_handler_sends_gets_its_answer() -> None:
    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        while True:
            await ws.send_message("more")

    async with running(handler=handler) as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade())
        await read_head(stream)
        await stream.send_all(frame(8, b"\x03\xe8"))
        assert close_code(await read_all(stream)) == 1000


async def test_handlers_close_with_1001_when_the_door_stops() -> None:
    closing: list[trio.Event] = []

    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await closing[0].wait()
        await ws.aclose(1001, "shutting down")

    async with running(handler=handler) as (door, port):
        closing.append(door.closing)
        async with websocket(port) as client, trio.open_nursery() as nursery:
            nursery.start_soon(door.drain)
            assert await read_close(client) == (1001, "shutting down")


async def test_whoever_does_not_end_in_time_is_cut_off() -> None:
    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        await trio.sleep_forever()

    settings = make_settings(server={"drain_s": 0.01})
    async with running(settings, handler=handler) as (_, port):
        stream = await connect(port)
        await stream.send_all(upgrade())
        await read_head(stream)
    async with stream:
        assert await read_all(stream) == b""


async def test_a_client_that_never_reads_holds_up_nothing() -> None:
    stuck = trio.Event()

    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        while True:
            with trio.move_on_after(0.2) as scope:
                await ws.send_message("x" * 1_000_000)
            if scope.cancelled_caught:
                stuck.set()
                return  # the close after this finds no room either

    settings = make_settings(server={"close_timeout_s": 0.05})
    async with running(settings, handler=handler) as (door, port), await connect(port) as stream:
        await stream.send_all(upgrade())
        await stuck.wait()
        await door.drain()
        assert door.connections == 0


async def test_one_who_is_turned_away_and_never_reads_or_answers_is_cut_off() -> None:
    # Long enough for the error and the Close to be sent first, also by a machine under load.
    settings = make_settings(token="s3cret", server={"close_timeout_s": 1.0})
    async with running(settings, remote=REMOTE) as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade())
        received = await read_all(stream)  # to the end, though no Close was sent back
    assert close_code(received) == 3000


def long_frame(size: int) -> bytes:
    """A text message of `size` zero bytes, masked with zeros."""
    return b"\x81\xff" + struct.pack("!Q", size) + bytes(4) + bytes(size)


async def test_one_who_is_turned_away_cannot_make_the_daemon_take_a_long_message() -> None:
    # Only the bytes can end it, not the time. What the sockets between them hold is far less.
    settings = make_settings(token="s3cret", server={"close_timeout_s": 600.0})
    async with running(settings, remote=REMOTE) as (door, port):
        async with await connect(port) as stream:
            await stream.send_all(upgrade())
            with pytest.raises(trio.BrokenResourceError):
                await stream.send_all(long_frame(21 * 1024 * 1024))
        await door.drain()
        assert door.connections == 0


async def test_one_who_is_turned_away_may_have_said_something_already() -> None:
    settings = make_settings(token="s3cret", server={"close_timeout_s": 600.0})
    async with running(settings, remote=REMOTE) as (_, port), await connect(port) as stream:
        await stream.send_all(upgrade() + long_frame(100_000))
        assert close_code(await read_all(stream)) == 3000


async def test_the_places_of_handshakes_that_failed_are_free_again() -> None:
    limits = {"connections_per_address": 1}
    async with running(make_settings(limits=limits)) as (door, port):
        for _ in range(3):
            assert status_of(await ask(port, upgrade(version="8"))) == 426
        assert door.websockets == 0
        async with websocket(port) as client:
            await client.send_message("hello")
            assert await client.get_message() == "hello"
