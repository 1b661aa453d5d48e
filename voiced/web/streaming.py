"""Bodies that are never held whole: request bodies with backpressure, and streamed answers.

Quart keeps whatever a client sends until somebody takes it, as fast as it comes. Here a client
waits while its data does; and a streamed answer gets its status with its first part, so that
what fails before is still an ordinary error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
import trio
from quart import Response
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge

from voiced.errors import VoicedError, leaves
from voiced.web.bodies import answer_error, answer_refusal, note_refusal
from voiced.web.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from voiced.web.gate import Message, Receive
    from voiced.web.gate import Send as SendMessage

    Put = Callable[[bytes], Awaitable[None]]
    Produce = Callable[[Put], Awaitable[None]]

log = structlog.get_logger()

ROOM_BYTES = 262_144
"""What may wait to be taken of a body that is streamed, or that no route has looked at yet."""


class RequestBody(TrioBody):
    """Await it for the whole body, within the limit of the application; or iterate over it.

    Iterating has no limit, and the client is made to wait for the reader.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, None)
        self._expected = expected_content_length or 0
        self._most = max_content_length
        self._awaited = False
        self._abandoned = False
        self._taken = trio.Event()

    def __await__(self) -> Generator[Any, None, Any]:
        self._awaited = True
        self._check(max(self._expected, len(self._data)))
        self._taken.set()
        return super().__await__()

    async def __anext__(self) -> bytes:
        try:
            return await super().__anext__()
        finally:
            self._taken.set()

    def append(self, data: bytes) -> None:
        """Add what has come, unless nobody wants it."""
        if self._abandoned:
            return
        super().append(data)
        if self._awaited:
            self._check(len(self._data))

    def abandon(self) -> None:
        """Nobody will read on: throw away what comes, so that the answer can get through."""
        self._abandoned = True
        self._data.clear()
        self._taken.set()

    async def room(self) -> None:
        """Wait until more may be appended."""
        while not (self._awaited or self._abandoned) and len(self._data) >= ROOM_BYTES:
            self._taken = trio.Event()
            await self._taken.wait()

    def _check(self, size: int) -> None:
        if self._most is not None and size > self._most:
            self._must_raise = RequestEntityTooLarge()
            self._data.clear()
            self.set_complete()


class StreamingRequest(TrioRequest):
    """A request with a `RequestBody`."""

    body_class = RequestBody


class StreamedResponse(Response):
    """An answer that `produce` makes, part by part, with the function that it is given.

    That function takes bytes and returns once the client has been sent them. The status leaves
    with the first part. What `produce` raises before, `Refused` too, is answered as any
    other error. Later it becomes the last part, as `failure` writes it; without that the
    connection is cut, so that the client does not take what it has for all. `produce` is
    cancelled when the client goes.

    The request's body may be read by `produce`, up to the first part, and the headers and the
    status of this answer may be set so long.
    """

    def __init__(
        self,
        produce: Produce,
        content_type: str,
        *,
        failure: Callable[[VoicedError], bytes] | None = None,
    ) -> None:
        super().__init__(b"", content_type=content_type)
        del self.headers["Content-Length"]
        self.headers["Cache-Control"] = "no-store"
        self.produce = produce
        self.failure = failure
        self.timeout = None


class StreamingConnection(TrioASGIHTTPConnection):
    """quart-trio's side of a request, with backpressure and `StreamedResponse`."""

    async def handle_messages(  # type: ignore[override]  # as quart-trio has it
        self, nursery: trio.Nursery, request: StreamingRequest, receive: Receive
    ) -> None:
        """Take the body as its reader does, then wait for the client to go; end the request."""
        body = request.body
        assert isinstance(body, RequestBody)
        while (message := await receive())["type"] != "http.disconnect":
            body.append(message.get("body", b""))
            if message.get("more_body", False):
                await body.room()
            else:
                body.set_complete()
        nursery.cancel_scope.cancel(reason="the client has gone, or is done")

    async def handle_request(  # type: ignore[override]  # as quart-trio has it
        self, nursery: trio.Nursery, request: StreamingRequest, send: SendMessage
    ) -> None:
        """Answer; a request that is answered before it was read is not read on."""
        response = await self.app.handle_request(request)
        assert isinstance(request.body, RequestBody)
        if isinstance(response, StreamedResponse):
            await self._stream(response, request, request.body, send)
        else:
            note_refusal(request, response)  # type: ignore[arg-type]
            request.body.abandon()
            with trio.move_on_after(self.app.config["RESPONSE_TIMEOUT"]):
                await self._send_response(send, response)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel(reason="answered")

    async def _stream(
        self,
        response: StreamedResponse,
        request: StreamingRequest,
        body: RequestBody,
        send: SendMessage,
    ) -> None:
        started = False

        async def put(data: bytes) -> None:
            nonlocal started
            if not started:
                started = True
                body.abandon()
                await send(_start(response))
            await send({"type": "http.response.body", "body": data, "more_body": True})

        failure: VoicedError | Refused | None = None
        try:
            await response.produce(put)
            await put(b"")
        except* (VoicedError, Refused) as group:
            failure = leaves(group)[0]
        except* Exception:
            log.exception("http route failed")
            failure = VoicedError("a fault of ours", public="The server failed to answer.")
        if failure is not None:
            if not started:
                body.abandon()
                answer = (
                    answer_refusal(failure.refusal)
                    if isinstance(failure, Refused)
                    else answer_error(failure)
                )
                note_refusal(request, answer)
                await self._send_response(send, answer)  # type: ignore[arg-type]
                return
            log.warning("streamed answer broke off", error=str(failure))
            if response.failure is None or isinstance(failure, Refused):
                return  # without the last part: hypercorn cuts the connection
            await put(response.failure(failure))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _start(response: Response) -> Message:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in response.headers.items()
    ]
    return {"type": "http.response.start", "status": response.status_code, "headers": headers}
