"""The front door over TLS: the same behind it, and what can go wrong in front of it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs
from trio_websocket import ConnectionClosed

from tests.certificates import Certified, certify
from tests.patience import CEILING_S
from tests.web.harness import (
    ask,
    connect,
    connect_tls,
    error_of,
    get,
    make_settings,
    read_all,
    read_close,
    read_response,
    running,
    status_of,
    until,
    upgrade,
    websocket,
)
from voiced.web.streams import open_listeners
from voiced.web.tls import FileCertificate, shake_hands

if TYPE_CHECKING:
    from pathlib import Path

    from trio_websocket import WebSocketConnection

    from voiced.web.websocket import Upgrade


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return certify(tmp_path)


@pytest.fixture
def certificate(certified: Certified) -> FileCertificate:
    return FileCertificate(certified.cert, certified.key)


@pytest.fixture
def trusted(certified: Certified) -> ssl.SSLContext:
    return certified.client_context()


async def test_http_is_served_and_ends_in_due_form(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    async with running(certificate=certificate) as (_, port):
        # The client is strict: it would raise where the end came without close_notify.
        response = await ask(port, get(), trusted)
        refused = await ask(port, get(host="evil.example"), trusted)
    assert status_of(response) == 200
    assert json.loads(response.partition(b"\r\n\r\n")[2])["status"] == "ok"
    assert status_of(refused) == 421
    assert "https://localhost" in error_of(refused)["message"]


async def test_one_connection_carries_several_requests(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    async with running(certificate=certificate) as (_, port):
        response = await ask(port, get(close=False) + get(), trusted)
    assert response.count(b"HTTP/1.1 200") == 2


async def test_the_application_knows_that_it_is_https(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    seen: list[tuple[str, str]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI has no types
        seen.append((scope["type"], scope["scheme"]))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with running(app=app, certificate=certificate) as (door, port):
        assert status_of(await ask(port, get(), trusted)) == 204
        assert status_of(await ask(door.addresses[0][1], get())) == 204
    assert seen == [("http", "https"), ("http", "http")]


async def test_long_bodies_pass_in_both_directions(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  # ASGI has no types
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            body = {"type": "http.response.body", "body": message["body"], "more_body": more}
            await send(body)

    body = bytes(range(256)) * 8192  # 2 MiB: many records, and more than the sockets hold
    head = b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with running(app=app, certificate=certificate) as (_, port):
        stream = await connect_tls(port, trusted)
        received = b""
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, head + body)
            received = await read_all(stream)
    assert received.partition(b"\r\n\r\n")[2] == body


async def test_websockets_are_served_in_both_directions_with_long_messages(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    long = "x" * 900_000
    async with (
        running(certificate=certificate) as (_, port),
        websocket(port, protocols=("realtime",), trusted=trusted) as client,
    ):
        assert client.subprotocol == "realtime"
        for message in ("hello", long, "again"):
            await client.send_message(message)
            assert await client.get_message() == message


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://localhost:8443", 101),
        ("http://localhost:8443", 403),
        ("http://localhost", 403),
        ("https://evil.example", 403),
    ],
)
async def test_only_a_page_that_came_by_tls_itself_gets_in(
    origin: str, status: int, certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    request = upgrade("/v1/realtime", f"Origin: {origin}")
    request = request.replace(b"Host: localhost", b"Host: localhost:8443")
    async with running(certificate=certificate) as (_, port):
        stream = await connect_tls(port, trusted)
        await stream.send_all(request)
        assert status_of(bytes(await stream.receive_some())) == status
        await trio.aclose_forcefully(stream)


async def test_http_1_1_and_a_modern_version_are_agreed_on(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    trusted.set_alpn_protocols(["h2", "http/1.1"])
    async with running(certificate=certificate) as (_, port):
        stream = await connect_tls(port, trusted)
        assert stream.selected_alpn_protocol() == "http/1.1"
        assert stream.version() == "TLSv1.3"
        await stream.aclose()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
async def test_an_old_version_gets_nowhere(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    trusted.set_ciphers("ALL:@SECLEVEL=0")
    trusted.minimum_version = trusted.maximum_version = ssl.TLSVersion.TLSv1_1
    with capture_logs() as logs:
        async with running(certificate=certificate) as (door, port):
            with pytest.raises(trio.BrokenResourceError):
                await connect_tls(port, trusted)
            await until(lambda: not door.connections)
            assert status_of(await ask(port, get(), certified_again(trusted))) == 200
    assert [(e["code"], e["cause"]) for e in logs if e["event"] == "refuse connection"] == [
        ("no_tls", "unsupported_protocol")
    ]


def certified_again(trusted: ssl.SSLContext) -> ssl.SSLContext:
    """A context that trusts the same and speaks today's versions."""
    context = ssl.create_default_context()
    for der in trusted.get_ca_certs(binary_form=True):
        context.load_verify_locations(cadata=der)
    return context


async def test_plain_http_on_the_tls_port_is_told_so(certificate: FileCertificate) -> None:
    with capture_logs() as logs:
        async with running(certificate=certificate) as (door, port):
            response = await ask(port, get())
            await until(lambda: not door.connections)
    assert (status_of(response), error_of(response)["code"]) == (400, "plain_on_tls_port")
    assert "https://" in error_of(response)["message"]
    assert loud(logs) == ["refuse connection"]


async def test_tls_on_the_plain_port_fails_cleanly(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    with capture_logs() as logs:
        async with running(certificate=certificate) as (door, _):
            with pytest.raises(trio.BrokenResourceError):
                await connect_tls(door.addresses[0][1], trusted)
            await until(lambda: not door.connections)
    assert loud(logs) == ["refuse connection"]


async def test_whoever_does_not_trust_us_leaves_one_line(certificate: FileCertificate) -> None:
    with capture_logs() as logs:
        async with running(certificate=certificate) as (door, port):
            await trio.to_thread.run_sync(distrust, port)
            await until(lambda: not door.connections)
    assert loud(logs) == ["refuse connection"]
    assert "unknown_ca" in next(e["cause"] for e in logs if e["event"] == "refuse connection")


def distrust(port: int) -> None:
    """Connect as most clients do, who say why they leave; trio's does not."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=CEILING_S)
    with plain, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x00\x05nonse", b"\x00" * 400, b"\xff" * 20])
async def test_garbage_ends_the_connection_and_nothing_else(
    sent: bytes, certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    with capture_logs() as logs:
        async with running(certificate=certificate) as (door, port):
            with contextlib.suppress(trio.BrokenResourceError):
                await ask(port, sent)
            await until(lambda: not door.connections)
            assert status_of(await ask(port, get(), trusted)) == 200
    assert loud(logs) == ["refuse connection"]


def loud(logs: list[Any]) -> list[str]:
    """The events that an operator sees, but for the door's own life."""
    quiet = {"open door"}
    return [e["event"] for e in logs if e["log_level"] != "debug" and e["event"] not in quiet]


async def test_a_handshake_that_dawdles_is_ended(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    settings = make_settings(server={"handshake_timeout_s": 0.2, "head_timeout_s": 60})
    async with (
        running(settings, certificate=certificate) as (door, port),
        await connect(port) as silent,
        await connect(port) as dawdling,
    ):
        await dawdling.send_all(b"\x16\x03\x01")
        assert await read_all(silent) == await read_all(dawdling) == b""
        assert status_of(await ask(port, get(), trusted)) == 200
        await until(lambda: not door.connections)


async def test_half_open_handshakes_are_bounded_and_lock_nobody_out(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    settings = make_settings(server={"handshake_timeout_s": 60}, limits={"pending_connections": 4})
    async with (
        running(settings, certificate=certificate) as (door, port),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(40):
            stream = await stack.enter_async_context(await connect(port))
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(b"\x16\x03\x01\x02\x00")
        assert status_of(await ask(port, get(), trusted)) == 200
        await until(lambda: door.connections <= 4)


async def test_a_head_that_dawdles_behind_the_handshake_is_answered(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    settings = make_settings(server={"head_timeout_s": 0.2})
    async with running(settings, certificate=certificate) as (_, port):
        response = await ask(port, b"GET / HTT", trusted)
    assert status_of(response) == 408


async def test_a_message_too_long_is_answered_with_1009(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    settings = make_settings(limits={"frame_bytes": 1000})
    async with (
        running(settings, certificate=certificate) as (_, port),
        websocket(port, trusted=trusted) as client,
    ):
        with contextlib.suppress(ConnectionClosed):
            await client.send_message("x" * 200_000)
        assert (await read_close(client))[0] == 1009


async def test_a_peer_that_vanishes_without_goodbye_has_simply_left(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    ended = trio.Event()

    async def handler(ws: WebSocketConnection, _: Upgrade) -> None:
        try:
            await ws.get_message()
        finally:
            ended.set()

    with capture_logs() as logs:
        async with running(handler=handler, certificate=certificate) as (door, port):
            for linger in (None, struct.pack("ii", 1, 0)):
                stream = await connect_tls(port, trusted)
                await stream.send_all(upgrade())
                await stream.receive_some()
                if linger:  # the kernel then sends a reset in place of an end
                    stream.transport_stream.setsockopt(1, 13, linger)
                await trio.aclose_forcefully(stream)
                await ended.wait()
                await until(lambda: not door.connections)
    assert loud(logs) == []


async def test_a_client_that_stops_reading_does_not_hold_up_the_end(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    sending = trio.Event()

    async def flood(ws: WebSocketConnection, _: Upgrade) -> None:
        sending.set()
        while True:
            await ws.send_message("x" * 100_000)

    settings = make_settings(server={"drain_s": 0.2})
    with capture_logs() as logs:
        async with running(settings, handler=flood, certificate=certificate) as (_, port):
            stream = await connect_tls(port, trusted)
            await stream.send_all(upgrade())
            await sending.wait()
        await trio.aclose_forcefully(stream)
    assert loud(logs) == ["cut off connections"]


async def test_draining_ends_pending_handshakes_and_idle_connections(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    async with running(certificate=certificate) as (door, port):
        pending = await connect(port)
        idle = await connect_tls(port, trusted)
        await idle.send_all(get(close=False))
        assert status_of(await read_response(idle)) == 200
        await door.drain()
        assert await read_all(pending) == b""
        assert await read_all(idle) == b""
        for stream in (pending, idle):
            await trio.aclose_forcefully(stream)


async def test_without_a_certificate_there_is_no_tls_listener() -> None:
    async with running() as (door, _):
        assert door.secure_addresses == ()


async def test_closing_amid_a_send_of_another_task_is_no_fault(
    certificate: FileCertificate, trusted: ssl.SSLContext
) -> None:
    """As at shutdown, where two tasks say goodbye to one client."""
    [listener] = await open_listeners("127.0.0.1", 0, send_timeout_s=CEILING_S)
    clients: list[trio.SSLStream[trio.SocketStream]] = []

    async def come() -> None:
        clients.append(await connect_tls(listener.socket.getsockname()[1], trusted))

    with trio.fail_after(CEILING_S):
        async with listener, trio.open_nursery() as nursery:
            nursery.start_soon(come)
            stream = await shake_hands(
                await listener.accept(),
                certificate.context,
                timeout_s=CEILING_S,
                close_timeout_s=CEILING_S,
            )

            async def send() -> None:
                with pytest.raises((trio.ClosedResourceError, trio.BrokenResourceError)):
                    await stream.send_all(bytes(32 << 20))  # more than the sockets between take

            nursery.start_soon(send)
            await until(lambda: bool(clients))
            await trio.testing.wait_all_tasks_blocked(cushion=0.02)
            with trio.CancelScope() as scope:
                scope.cancel(reason="the connection ended")
                await stream.aclose()
            assert scope.cancelled_caught
    await trio.aclose_forcefully(clients[0])
