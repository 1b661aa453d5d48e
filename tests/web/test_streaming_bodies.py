"""Request bodies with backpressure, and answers that are streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from quart import Blueprint, Response, request

from tests.web.harness import (
    Status,
    ask,
    connect,
    error_of,
    make_app,
    make_settings,
    read_all,
    running,
    status_of,
)
from voiced.errors import EngineBusy, VoicedError
from voiced.web.sse import CONTENT_TYPE, encode_failure
from voiced.web.streaming import ROOM_BYTES, StreamedResponse

if TYPE_CHECKING:
    from voiced.web.app import VoicedApp
    from voiced.web.streaming import Produce, Put

MIB = 1 << 20


def post(path: str, size: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()


def with_route(route: Blueprint) -> VoicedApp:
    app = make_app()
    app.register_blueprint(route)
    return app


def producing(produce: Produce, *, sse: bool = False) -> VoicedApp:
    route = Blueprint("test", __name__)

    @route.get("/stream")
    async def stream() -> Response:
        return StreamedResponse(produce, CONTENT_TYPE, failure=encode_failure if sse else None)

    return with_route(route)


GET = b"GET /stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def test_sender_waits_for_the_reader_of_its_body() -> None:
    route = Blueprint("test", __name__)
    read = trio.Event()
    largest = 0

    @route.post("/upload")
    async def upload() -> str:
        nonlocal largest
        await read.wait()
        total = 0
        async for data in request.body:
            largest = max(largest, len(data))
            total += len(data)
        return str(total)

    size = 64 * MIB
    sent = 0

    async def send(stream: trio.SocketStream) -> None:
        nonlocal sent
        await stream.send_all(post("/upload", size))
        for _ in range(size // MIB):
            await stream.send_all(bytes(MIB))
            sent += MIB

    async with running(app=with_route(route)) as (_, port), await connect(port) as stream:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, stream)
            before = -1
            while sent != before:  # until the sockets are full
                before = sent
                await trio.sleep(0.2)
            assert sent < size, "the server took everything while nobody read"
            read.set()
        assert (await read_all(stream)).endswith(str(size).encode())
    # and one more read of the socket than there is room for
    assert largest <= ROOM_BYTES + 2 * 65_536


async def test_body_that_is_awaited_has_a_limit() -> None:
    route = Blueprint("test", __name__)

    @route.post("/whole")
    async def whole() -> str:
        return str(len(await request.get_data()))

    async with running(app=with_route(route)) as (_, port):
        body = bytes(MIB)
        response = await ask(port, post("/whole", MIB) + body)
        assert response.endswith(b"1048576")
        assert status_of(await ask(port, post("/whole", MIB + 1) + body + b"x")) == 413
        chunked = (
            b"POST /whole HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        piece = b"%x\r\n" % len(body) + body + b"\r\n"
        assert status_of(await ask(port, chunked + piece + piece + b"0\r\n\r\n")) == 413


async def test_limit_of_a_body_is_that_of_the_settings() -> None:
    app = make_app(Status(make_settings(limits={"json_bytes": 100})))
    async with running(app=app) as (_, port):
        for size, status in ((100, 400), (101, 413)):
            request_ = post("/v1/chat/completions", size) + bytes(size)
            assert status_of(await ask(port, request_)) == status


async def test_body_that_nobody_reads_does_not_hold_up_the_answer() -> None:
    route = Blueprint("test", __name__)

    @route.post("/refuse")
    async def refuse() -> tuple[str, int]:
        return "no", 409

    async with running(app=with_route(route)) as (_, port), await connect(port) as stream:
        await stream.send_all(post("/refuse", 64 * MIB))
        await stream.send_all(bytes(2 * MIB))
        assert status_of(await stream.receive_some()) == 409


async def test_failure_before_the_first_part_is_an_ordinary_error() -> None:
    async def produce(put: Put) -> None:
        await trio.lowlevel.checkpoint()
        raise EngineBusy("the queue is full")

    async with running(app=producing(produce)) as (_, port):
        response = await ask(port, GET)
    assert status_of(response) == 429
    assert b"\r\nretry-after: 1\r\n" in response.lower()
    assert error_of(response)["code"] == "engine_busy"


async def test_fault_before_the_first_part_is_told_without_details() -> None:
    async def produce(put: Put) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("secret")

    async with running(app=producing(produce)) as (_, port):
        response = await ask(port, GET)
    assert status_of(response) == 500
    assert b"\r\nx-should-retry: false\r\n" in response.lower()
    assert b"secret" not in response


@pytest.mark.parametrize("error", [EngineBusy("late"), RuntimeError("late")])
async def test_failure_later_cuts_the_connection(error: Exception) -> None:
    async def produce(put: Put) -> None:
        await put(b"first")
        raise error

    async with running(app=producing(produce)) as (_, port):
        response = await ask(port, GET)
    assert status_of(response) == 200
    assert b"first" in response
    assert not response.endswith(b"0\r\n\r\n"), "the client takes it for all there is"


async def test_failure_later_is_the_last_event_of_a_stream() -> None:
    async def produce(put: Put) -> None:
        await put(b"data: {}\n\n")
        raise VoicedError("inside", public="outside")

    async with running(app=producing(produce, sse=True)) as (_, port):
        response = await ask(port, GET)
    assert b'data: {"error":{"message":"outside"' in response
    assert b"inside" not in response
    assert response.endswith(b"0\r\n\r\n")


async def test_answer_ends_when_the_client_goes() -> None:
    ended = trio.Event()

    async def produce(put: Put) -> None:
        try:
            await put(b"first")
            await trio.sleep_forever()
        finally:
            ended.set()

    async with running(app=producing(produce)) as (_, port):
        async with await connect(port) as stream:
            await stream.send_all(GET)
            while b"first" not in await stream.receive_some():
                pass
        await ended.wait()
