"""HTTP of the front door: hypercorn's HTTP/1.1 on a stream that the door has opened.

Only HTTP/1.1: requests to upgrade to HTTP/2 are ignored (as RFC 9110 §7.8 allows) and hypercorn's
own WebSocket layer is out of reach. `Gate` stands in front of the application for each request,
since a kept-alive connection carries many.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, cast

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed
from hypercorn.logging import Logger
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState

from voiced.web.head import malformed
from voiced.web.refusal import refusal_body, refusal_headers
from voiced.web.streams import linger

if TYPE_CHECKING:
    from hypercorn.events import Event
    from hypercorn.typing import ASGIFramework

    from voiced.settings import Settings
    from voiced.web.gate import Application
    from voiced.web.streams import HttpStream

log = structlog.get_logger()


class HypercornLog(Logger):
    """hypercorn's own log lines, as events of ours; the gate logs requests."""

    def __init__(self, config: Config) -> None:
        self.access_logger = None
        self.error_logger = None

    async def exception(self, message: str, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # the signature of the base class
        """Log an exception that escaped the application."""
        log.exception("http application failed")


class Http1Only(H11Protocol):
    """hypercorn's HTTP/1.1, from which no request can switch to another protocol."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """Do not switch to HTTP/2, whether asked by h2c upgrade or by prior knowledge."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Serve every request as plain HTTP.

        A connection becomes a WebSocket by its first request, at the door, or not at all.
        """
        names = {name for name, _ in request.headers}
        if not request.http_version.startswith(b"1."):
            await self._refuse(505, request)
            return
        if {b"transfer-encoding", b"content-length"} <= names:
            # A proxy in front of us may go by the other of the two, and take the rest of the body
            # for a request that it has checked (RFC 9112 §6.1).
            await self._refuse(400, request)
            return
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        await super()._create_stream(
            h11.Request(
                method=request.method,
                headers=headers,
                target=request.target,
                http_version=request.http_version,
            )
        )

    async def _refuse(self, status: int, request: h11.Request) -> None:
        await self._send_error_response(status, with_body=request.method != b"HEAD")
        await self.send(Closed())

    async def _send_error_response(self, status_code: int, *, with_body: bool = True) -> None:
        """Refuse what is no request, as the door does with the first one of a connection."""
        refusal = malformed(status_code)
        body = refusal_body(refusal)
        headers = [*refusal_headers(refusal, body), *self.config.response_headers("h11")]
        await self._send_h11_event(h11.Response(status_code=refusal.status, headers=headers))
        if with_body:
            await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())


class HttpConnection(TCPServer):
    """hypercorn's HTTP/1.1 server for one connection whose ends are known already.

    Unlike hypercorn's own it leaves closing the stream to its owner, who can let a peer that is
    still sending read its answer first; and it ends as soon as the peer has left.
    """

    def __init__(
        self,
        server: HttpServer,
        stream: HttpStream,
        *,
        peer: tuple[str, int],
        local: tuple[str, int],
        secure: bool,
    ) -> None:
        super().__init__(
            server.app,
            server.config,
            server.context,
            {},
            stream,  # type: ignore[arg-type]  # a plain stream with `socket` is what it takes too
        )
        self._peer, self._local, self._secure = peer, local, secure
        self._reading = trio.CancelScope()

    async def run(self) -> None:
        """Serve requests until either side ends the connection."""
        async with TaskGroup() as task_group:
            self._task_group = task_group
            self._http = Http1Only(
                self.app,
                self.config,
                self.context,
                task_group,
                ConnectionState(self.state),
                self._secure,
                self._peer,
                self._local,
                self.protocol_send,
            )
            self.protocol = self._http  # type: ignore[assignment]  # without h2 to switch to
            await self.idle_task.restart(task_group, self._idle_timeout)
            with self._reading:
                await self._read_data()
            # Else the connection would stay until its keep-alive time is over.
            await self.idle_task.stop()

    def may_still_receive(self) -> bool:
        """Whether the peer was sending a request when the connection ended."""
        return self._http.connection.their_state in {h11.SEND_BODY, h11.ERROR}

    async def protocol_send(self, event: Event) -> None:
        """Carry out what the protocol wants to happen to the connection."""
        await super().protocol_send(event)
        if isinstance(event, Closed):
            # The reader may be waiting for room in the queue of a request that is over.
            self._reading.cancel(reason="the response was the last")

    async def _close(self) -> None:
        # The reader may find fault with a body while the application is sending its answer.
        async with self.send_lock:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.stream.send_eof()


class HttpServer:
    """What all HTTP connections share: the application, hypercorn's settings, the end of it."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self.app = ASGIWrapper(cast("ASGIFramework", app))
        self.context = WorkerContext(None)
        self._close_timeout_s = settings.server.close_timeout_s
        self.config = Config()
        self.config.logger_class = HypercornLog
        self.config.include_server_header = False
        self.config.h11_max_incomplete_size = settings.limits.head_bytes
        self.config.keep_alive_timeout = settings.server.keep_alive_s

    async def serve(
        self, stream: HttpStream, *, peer: tuple[str, int], local: tuple[str, int], secure: bool
    ) -> None:
        """Serve one connection to its end. Cancelling cuts it off at once; the stream is closed."""
        connection = HttpConnection(self, stream, peer=peer, local=local, secure=secure)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_abort_when_cancelled, stream)
            await connection.run()
            if connection.may_still_receive():
                await linger(stream, self._close_timeout_s)
            nursery.cancel_scope.cancel(reason="the connection has ended")

    async def finish(self) -> None:
        """Close idle connections now, and others after the response under way."""
        await self.context.terminated.set()


async def _abort_when_cancelled(stream: HttpStream) -> None:
    """Close the socket on cancellation: hypercorn's sends are shielded, and would go on."""
    try:
        await trio.sleep_forever()
    finally:
        stream.abort()
