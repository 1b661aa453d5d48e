"""HTTP through the front door, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import json
import select
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from quart import request
from quart_trio import QuartTrio
from structlog.testing import capture_logs

from tests.web.harness import (
    REMOTE,
    Status,
    ask,
    connect,
    error_of,
    get,
    make_app,
    make_settings,
    read_all,
    read_response,
    running,
    status_of,
    upgrade,
)
from voiced.errors import AudioError
from voiced.settings import Limits
from voiced.web.streams import open_listeners

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LARGE = b"x" * 32_000_000  # far more than the sockets between take


def build_test_app() -> QuartTrio:
    app = make_app()

    @app.get("/large")
    async def large() -> bytes:
        return LARGE

    @app.get("/fail")
    async def fail() -> str:
        raise RuntimeError("a secret of the inside")

    @app.get("/refuse")
    async def refuse() -> str:
        raise AudioError("/etc/secret is not a WAV", public="That is not a WAV file.")

    @app.post("/size")
    async def size() -> str:
        return str(len(await request.get_data()))

    return app


def body_of(response: bytes) -> Any:  # noqa: ANN401  # whatever JSON holds
    return json.loads(response.partition(b"\r\n\r\n")[2])


def post(body: bytes, declared: int | None = None) -> bytes:
    length = len(body) if declared is None else declared
    return b"POST /size HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % length + body


async def test_health_and_readiness() -> None:
    settings = make_settings()
    status = Status(settings)
    async with running(settings, app=make_app(status)) as (_, port):
        alive = body_of(await ask(port, get("/health")))
        assert (alive["status"], alive["version"], alive["stale"]) == ("ok", "1.2.3", [])
        response = await ask(port, get("/ready"))
        assert status_of(response) == 200
        assert body_of(response) == {
            "ready": True,
            "engines": {"stt": {"name": "fake", "state": "ready", "restarts": 0, "queue": 0}},
            "providers": {},
            "degraded": [],
            "heat": {
                "level": "warm",
                "celsius": 76.0,
                "words": "The processor is warm (76 °C).",
            },
        }
        status.is_ready = False
        response = await ask(port, get("/ready"))
        assert status_of(response) == 503
        told = body_of(response)
        assert (told["ready"], told["engines"]["stt"]["state"]) == (False, "starting")


async def test_health_is_not_well_while_a_part_shows_no_sign_of_life() -> None:
    settings = make_settings()
    status = Status(settings)
    async with running(settings, app=make_app(status)) as (_, port):
        status.stale = ["door"]
        told = body_of(await ask(port, get("/health")))
        assert (told["status"], told["stale"]) == ("degraded", ["door"])
        status.stale = []
        assert body_of(await ask(port, get("/health")))["status"] == "ok"


async def test_every_limit_is_listed_with_the_value_in_force() -> None:
    settings = make_settings(limits={"sessions": 7})
    async with running(settings) as (_, port):
        listed = body_of(await ask(port, get("/api/limitations")))["limits"]
    names = {entry["name"] for entry in listed}
    assert {f"limits.{key}" for key in Limits.__struct_fields__} <= names
    assert {"server.head_timeout_s", "session.max_s"} <= names
    assert all(entry["unit"] and entry["exceeded"] for entry in listed)
    assert [entry["value"] for entry in listed if entry["name"] == "limits.sessions"] == [7]


async def test_the_root_says_where_to_go() -> None:
    async with running() as (_, port):
        assert b"/v1/realtime" in await ask(port, get("/"))


@pytest.mark.parametrize(
    ("asked", "status", "code", "kind"),
    [
        (get("/nowhere"), 404, "not_found", "invalid_request_error"),
        (
            get("/health").replace(b"GET", b"PUT"),
            405,
            "method_not_allowed",
            "invalid_request_error",
        ),
        (get("/v1/realtime"), 426, "upgrade_required", "invalid_request_error"),
        (get("/fail"), 500, "internal_server_error", "server_error"),
        (get("/refuse"), 400, "invalid_audio", "invalid_request_error"),
        (post(b"x" * 2_000_000), 413, "request_entity_too_large", "invalid_request_error"),
    ],
)
async def test_errors_have_the_shape_of_the_api_and_tell_no_secrets(
    asked: bytes, status: int, code: str, kind: str
) -> None:
    async with running(app=build_test_app()) as (_, port), await connect(port) as stream:
        await stream.send_all(asked)
        response = await read_response(stream)
    assert status_of(response) == status
    error = error_of(response)
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["code"], error["type"]) == (code, kind)
    assert b"secret" not in response
    assert b"Traceback" not in response


async def test_from_elsewhere_only_health_needs_no_token() -> None:
    settings = make_settings(token="s3cret")
    async with running(settings, remote=REMOTE) as (_, port):
        assert status_of(await ask(port, get("/health"))) == 200
        for path in ("/", "/ready", "/api/limitations", "/nowhere", "//health"):
            response = await ask(port, get(path))
            assert status_of(response) == 401
            assert b"www-authenticate: bearer" in response.lower()
            assert error_of(response)["code"] is None
        wrong = await ask(port, get("/ready", "Authorization: Bearer wrong"))
        assert (status_of(wrong), error_of(wrong)["code"]) == (401, "invalid_api_key")
        assert status_of(await ask(port, get("/ready", "Authorization: Bearer s3cret"))) == 200


async def test_a_connection_is_kept_for_further_requests() -> None:
    async with running() as (_, port), await connect(port) as stream:
        for path in ("/health", "/ready", "/nowhere", "/health"):
            await stream.send_all(get(path, close=False))
            response = await read_response(stream)
            assert status_of(response) == (404 if path == "/nowhere" else 200)


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with running() as (_, port):
        both = get("/health", close=False) + get("/nowhere", close=False) + get("/ready")
        received = await ask(port, both)
    assert [received.index(part) for part in (b'"ok"', b"not_found", b'"ready":true')] == sorted(
        received.index(part) for part in (b'"ok"', b"not_found", b'"ready":true')
    )


async def test_an_idle_connection_is_closed_after_its_time() -> None:
    async with running(make_settings(server={"keep_alive_s": 0.05})) as (_, port):
        assert status_of(await ask(port, get(close=False))) == 200


async def test_a_body_is_read_and_may_come_in_pieces() -> None:
    async with running(app=build_test_app()) as (_, port), await connect(port) as stream:
        asked = post(b"x" * 500_000)
        await stream.send_all(asked[:30])
        await stream.send_all(asked[30:200_000])
        await stream.send_all(asked[200_000:])
        assert (await read_response(stream)).endswith(b"500000")


async def test_trust_is_checked_for_each_request_of_a_connection() -> None:
    async with running() as (_, port):
        evil = get("/health", "Origin: https://evil.example")
        for second, status in ((evil, 403), (get(host="evil.example"), 421)):
            async with await connect(port) as stream:
                await stream.send_all(get(close=False))
                assert status_of(await read_response(stream)) == 200
                await stream.send_all(second)
                assert status_of(await read_all(stream)) == status


@pytest.mark.parametrize("first", [b"", get(close=False)])
async def test_no_request_leads_to_http2(first: bytes) -> None:
    fields = ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Connection: Upgrade, close")
    async with running() as (_, port):
        received = await ask(port, first + get("/ready", *fields, close=False))
        assert b"101" not in received
        assert b'"ready":true' in received
        received = await ask(port, first + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 9)
        assert not received.endswith(b"\0" * 9)
        assert b"HTTP/1.1 505" in received


CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("first", [b"", get(close=False)])
async def test_a_body_of_two_lengths_is_refused_and_hides_no_request(
    first: bytes, method: str
) -> None:
    asked = get("/v1/models", "Content-Length: 99", CHUNKED, close=False)
    hidden = b"0\r\n\r\n" + get("/ready")
    async with running() as (_, port):
        received = await ask(port, first + asked.replace(b"GET", method.encode(), 1) + hidden)
        assert b'"ready"' not in received
        last = received[received.index(b"HTTP/1.1 400") :]
        if method == "POST":
            assert error_of(last)["code"] == "malformed_request"
        assert status_of(await ask(port, get("/v1/models", CHUNKED) + b"0\r\n\r\n")) == 200


@pytest.mark.parametrize(
    ("second", "status", "code"),
    [
        (b"POST /size HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\nzz\r\n", 400, "malformed_request"),
        (b"\0\1\2\3garbage\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, 431, "request_head_too_large"),
    ],
)
async def test_what_is_no_request_is_told_so_later_too(
    second: bytes, status: int, code: str
) -> None:
    async with running(app=build_test_app()) as (_, port), await connect(port) as stream:
        await stream.send_all(get(close=False))
        await read_response(stream)
        await stream.send_all(second.replace(b"%s", CHUNKED.encode()))
        received = await read_all(stream)
    assert (status_of(received), error_of(received)["code"]) == (status, code)


async def test_a_body_that_goes_wrong_while_the_answer_is_sent_is_no_fault_of_ours() -> None:
    asked = get("/large", CHUNKED)
    with capture_logs() as logs:
        async with running(app=build_test_app()) as (door, port), await connect(port) as stream:
            await stream.send_all(asked)
            received = await stream.receive_some(1_000)
            assert status_of(received) == 200
            await stream.send_all(b"zz\r\n")
            await read_all(stream)
            await door.drain()
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def test_a_later_request_does_not_reach_the_websockets_of_hypercorn() -> None:
    async with running() as (_, port), await connect(port) as stream:
        await stream.send_all(get(close=False))
        await read_response(stream)
        await stream.send_all(upgrade())
        response = await read_response(stream)
    assert status_of(response) == 426


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost"])
async def test_a_refusal_is_readable_though_a_large_body_is_on_its_way(origin: str) -> None:
    asked = post(b"x" * 8_000_000).replace(b"\r\n", b"\r\nOrigin: %s\r\n" % origin.encode(), 1)
    first = get(close=False)  # the second request meets the gate, not the door
    async with running(app=build_test_app()) as (door, port):
        async with await connect(port) as stream:
            await stream.send_all(first)
            await read_response(stream)
            await stream.send_all(asked)
            assert status_of(await read_all(stream)) == (413 if "localhost" in origin else 403)
        await door.drain()
        assert door.connections == 0


async def test_a_connection_ends_as_soon_as_its_client_has_left() -> None:
    settings = make_settings(server={"keep_alive_s": 600.0})
    async with running(settings) as (_, port), await connect(port) as stream:
        await stream.send_all(get(close=False))
        await read_response(stream)
        await stream.send_eof()
        assert await read_all(stream) == b""


async def test_a_body_that_stalls_is_answered_408() -> None:
    settings = make_settings(server={"body_timeout_s": 0.05})
    async with running(settings, app=build_test_app()) as (_, port):
        response = await ask(port, post(b"x", declared=10))
        assert status_of(response) == 408
        assert status_of(await ask(port, get())) == 200


async def test_one_http_connection_too_many_is_answered_503() -> None:
    settings = make_settings(limits={"http_connections": 1}, server={"keep_alive_s": 60.0})
    async with running(settings) as (_, port), await connect(port) as stream:
        await stream.send_all(get(close=False))
        await read_response(stream)
        response = await ask(port, get())
        assert status_of(response) == 503
        assert error_of(response)["code"] == "too_many_connections"


async def test_a_response_under_way_is_finished_when_the_door_stops() -> None:
    async with running(app=build_test_app()) as (door, port), await connect(port) as stream:
        await stream.send_all(get("/large"))
        first = await stream.receive_some()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.drain)
            rest = await read_all(stream)
    assert (first + rest).endswith(LARGE)


async def test_a_client_that_never_reads_an_answer_does_not_hold_up_the_end() -> None:
    settings = make_settings(server={"drain_s": 0.01}, limits={"send_timeout_s": 600.0})
    started = trio.Event()
    stream = None
    async with running(settings, app=signalling(started)) as (_, port):
        stream = await connect(port)
        await stream.send_all(get("/large"))
        await started.wait()
        await trio.testing.wait_all_tasks_blocked()
    await stream.aclose()


async def test_a_client_that_never_reads_an_answer_is_cut_off() -> None:
    settings = make_settings(limits={"send_timeout_s": 0.1})
    async with (
        running(settings, app=build_test_app()) as (door, port),
        await connect(port) as stream,
    ):
        await stream.send_all(get("/large"))
        with contextlib.suppress(trio.BrokenResourceError):  # cut off before this got to run
            await stream.receive_some(1)
        await door.drain()
        assert door.connections == 0


def signalling(started: trio.Event) -> Callable[[Any, Any, Any], Awaitable[None]]:
    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # bare ASGI
        await send({"type": "http.response.start", "status": 200, "headers": []})
        started.set()
        await send({"type": "http.response.body", "body": LARGE})

    return app


# Controls: each shows a fault of the stack that the door works around. When one fails, upstream
# has fixed the fault and the workaround can go.


async def serve_bare(app: Any, stream: trio.SocketStream) -> None:  # noqa: ANN401  # any ASGI
    """hypercorn as it comes, on one connection."""
    config = Config()
    config.errorlog = None
    await TCPServer(ASGIWrapper(app), config, WorkerContext(None), {}, stream).run()  # type: ignore[arg-type]  # as hypercorn itself calls it


async def bare_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    [listener] = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    async with listener:
        client = await connect(listener.socket.getsockname()[1])
        return client, await listener.accept()


async def has_ended(client: trio.SocketStream) -> bool:
    """Whether the server, a task of this very run, has closed by when it has nothing left to do.

    To be asked when the whole response was read. On a slow machine the tasks stand still later,
    and the answer is the same; the cushion is for the kernel, to hand on what was sent.
    """
    await trio.testing.wait_all_tasks_blocked(cushion=0.02)
    poll = select.poll()
    poll.register(client.socket.fileno(), select.POLLIN)
    if not poll.poll(0):
        return False
    assert await client.receive_some(1) == b""
    return True


async def test_quart_trio_on_hypercorn_still_never_closes_a_connection() -> None:
    app = QuartTrio("bare", static_folder=None)

    @app.get("/")
    async def root() -> str:
        return "hello"

    client, server = await bare_pair()
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(serve_bare, app, server)
        await client.send_all(get("/"))
        assert (await read_response(client)).endswith(b"hello")
        assert not await has_ended(client)
        nursery.cancel_scope.cancel()


async def test_hypercorn_still_sends_in_a_shield_without_deadline() -> None:
    client, server = await bare_pair()
    started, ended = trio.Event(), trio.Event()

    async def serve() -> None:
        try:
            await serve_bare(signalling(started), server)
        finally:
            ended.set()

    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        await client.send_all(get("/"))
        await started.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await trio.testing.wait_all_tasks_blocked()
            assert not ended.is_set()  # cancelled, and still sending
            server.socket.close()
            await ended.wait()


async def test_hypercorn_still_keeps_a_connection_whose_client_has_left() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # bare ASGI
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    client, server = await bare_pair()
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(serve_bare, app, server)
        await client.send_all(get("/", close=False))
        await read_response(client)
        await client.send_eof()
        assert not await has_ended(client)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("close", [True, False])
async def test_what_is_asked_of_the_stack_sees_that_the_door_closes(close: bool) -> None:
    # Without this the two controls above could pass by never seeing an end.
    settings = make_settings(server={"keep_alive_s": 600.0})
    async with running(settings) as (_, port), await connect(port) as client:
        await client.send_all(get(close=close))
        await read_response(client)
        if not close:
            assert not await has_ended(client)
            await client.send_eof()
        assert await has_ended(client)


async def test_hypercorn_still_switches_to_its_own_websockets() -> None:
    kinds: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # bare ASGI
        kinds.append(scope["type"])

    client, server = await bare_pair()
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(serve_bare, app, server)
        await client.send_all(upgrade())
        await client.receive_some()
        nursery.cancel_scope.cancel()
    assert kinds == ["websocket"]
