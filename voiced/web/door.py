"""The front door: one listening port for WebSockets and HTTP.

    listener → accept → pending: read the head, check it ─┬→ WebSocket → handler
                                                          └→ hypercorn → gate → quart-trio app

Every connection is one task of the door's nursery and can end only itself.
"""

from __future__ import annotations

import errno
import itertools
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio
from structlog.contextvars import bound_contextvars
from trio_websocket import ConnectionClosed

from voiced.supervision.hearts import BEAT_S, SILENT_S, Heart, Hearts
from voiced.web.admission import Admission, AdmittedHttp, AdmittedSocket
from voiced.web.auth import Authenticator
from voiced.web.gate import Gate
from voiced.web.http import HttpServer
from voiced.web.pending import Pending
from voiced.web.streams import linger, local_address, peer_address
from voiced.web.trust import Trust
from voiced.web.websocket import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_TOO_BIG,
    DoorSocket,
    Upgrade,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from voiced.settings import Settings
    from voiced.web.gate import Application

    SocketHandler = Callable[[DoorSocket, Upgrade], Awaitable[None]]
    AddressOf = Callable[[trio.SocketStream], str]

log = structlog.get_logger()

# What accept(2) reports when the process or the system is short of something; it passes.
SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
SHORTAGE_PAUSE_S = 0.1


class Door:
    """An open door; made by `open_door`."""

    def __init__(
        self,
        listeners: Sequence[trio.SocketListener],
        settings: Settings,
        app: Application,
        handler: SocketHandler,
        peer: AddressOf,
        hearts: Hearts,
    ) -> None:
        trust = Trust(settings.server)
        authenticator = Authenticator(
            settings.auth.token, token_on_loopback=settings.auth.token_on_loopback
        )
        #: Set once the door stops accepting: handlers then close their WebSockets with 1001.
        self.closing = trio.Event()
        #: The IP address and port of each listener; the path and 0 for a Unix socket.
        self.addresses = tuple(_address(listener) for listener in listeners)
        self._listeners = listeners
        self._settings = settings
        self._handler = handler
        self._peer = peer
        self._hearts = hearts
        self._admission = Admission(settings, trust, authenticator)
        self._http = HttpServer(Gate(app, settings, trust, authenticator), settings)
        self._pending = Pending(settings.limits.pending_connections)
        self._numbers: Iterator[int] = itertools.count(1)
        self._open = 0
        self._empty = trio.Event()

    @property
    def connections(self) -> int:
        """How many connections there are, in whatever stage."""
        return self._open

    @property
    def websockets(self) -> int:
        """How many WebSockets are with their handlers."""
        return self._admission.sockets

    async def stop(self) -> None:
        """Stop accepting, and set `closing`. Idempotent.

        Pending connections are closed, idle HTTP connections too, and HTTP responses under way
        are finished. WebSockets are left to their handlers.
        """
        if self.closing.is_set():
            return
        self.closing.set()
        for listener in self._listeners:
            listener.socket.close()
        self._pending.clear("the door stops accepting")
        if not self._open:
            self._empty.set()
        await self._http.finish()

    async def drain(self) -> None:
        """Stop, then wait until all connections have ended, for at most `server.drain_s`.

        Those left are cut off when `open_door` is left. Idempotent.
        """
        await self.stop()
        with trio.move_on_after(self._settings.server.drain_s) as scope:
            await self._empty.wait()
        if scope.cancelled_caught:
            log.warning("cut off connections", connections=self._open)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        with self._hearts.add("door", SILENT_S) as heart:
            await self._accept_all(listener, nursery, heart)

    async def _accept_all(
        self, listener: trio.SocketListener, nursery: trio.Nursery, heart: Heart
    ) -> None:
        short = False
        while True:
            heart.beat()
            stream = None
            try:
                with trio.move_on_after(BEAT_S):
                    stream = await listener.accept()
            except trio.ClosedResourceError:
                return  # stopped
            except OSError as error:
                if error.errno not in SHORTAGES:
                    raise
                if not short:  # once per shortage, not ten times a second
                    log.error("cannot accept connections", cause=os.strerror(error.errno or 0))
                short = True
                self._pending.evict("too few resources")
                await trio.sleep(SHORTAGE_PAUSE_S)
                continue
            if stream is None:
                continue
            short = False
            self._open += 1
            nursery.start_soon(self._serve, stream, self._pending.enter())

    async def _serve(self, stream: trio.SocketStream, place: trio.CancelScope) -> None:
        """Serve one connection from its first byte to its last. Raises nothing but Cancelled."""
        try:
            with bound_contextvars(connection=next(self._numbers)):
                admitted = await self._admit(stream, place)
                if admitted is not None:
                    await self._serve_admitted(admitted, stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("connection broken")
        except* Exception:
            log.exception("connection failed")
        finally:
            stream.socket.close()
            self._open -= 1
            if self.closing.is_set() and not self._open:
                self._empty.set()

    async def _admit(
        self, stream: trio.SocketStream, place: trio.CancelScope
    ) -> AdmittedSocket | AdmittedHttp | None:
        admitted = None  # stays so when evicted
        with self._pending.hold(place):
            try:
                peer = self._peer(stream)
            except OSError:
                return None  # gone before we looked
            admitted = await self._admission.admit(stream, peer, local_address(stream)[0])
        return admitted

    async def _serve_admitted(
        self, admitted: AdmittedSocket | AdmittedHttp, stream: trio.SocketStream
    ) -> None:
        try:
            if isinstance(admitted, AdmittedSocket):
                await self._serve_socket(admitted.websocket, admitted.upgrade, stream)
            else:
                await self._http.serve(
                    admitted.stream,
                    peer=(admitted.peer, 0),
                    local=local_address(stream),
                    secure=False,
                )
        finally:
            self._admission.release(admitted)

    async def _serve_socket(
        self, websocket: DoorSocket, upgrade: Upgrade, stream: trio.SocketStream
    ) -> None:
        timeout_s = self._settings.server.close_timeout_s
        async with trio.open_nursery() as nursery:
            nursery.start_soon(websocket.read)
            code, reason = await self._handle(websocket, upgrade)
            # The reader is not cancelled but ends with the connection, since it may be about to
            # answer the peer's Close; the deadline is for peers that do not read or answer.
            nursery.cancel_scope.deadline = trio.current_time() + timeout_s
            await websocket.aclose(code, reason)
        if websocket.closed is not None and websocket.closed.code == CLOSE_TOO_BIG:
            # trio-websocket stops reading in the middle of the message that was too long.
            await linger(stream, timeout_s)

    async def _handle(self, websocket: DoorSocket, upgrade: Upgrade) -> tuple[int, str | None]:
        """Run the handler; return how to close after it, should it not have closed itself."""
        try:
            await self._handler(websocket, upgrade)
        except ConnectionClosed:
            pass  # an ordinary end
        except Exception:
            log.exception("websocket handler failed")
            return CLOSE_INTERNAL, "internal error"
        return CLOSE_NORMAL, None


def _address(listener: trio.SocketListener) -> tuple[str, int]:
    name = listener.socket.getsockname()
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else (str(name), 0)


@asynccontextmanager
async def open_door(
    listeners: Sequence[trio.SocketListener],
    settings: Settings,
    *,
    app: Application,
    handler: SocketHandler,
    peer: AddressOf = peer_address,
    hearts: Hearts | None = None,
) -> AsyncIterator[Door]:
    """Serve WebSockets and HTTP on `listeners` (see `open_listeners`), which the door closes.

    `handler(websocket, upgrade)` runs in a task of its own for each WebSocket that passed the
    rules. It must read all the time (an unread message holds up pings and closing), sees
    ConnectionClosed when its peer leaves, and closes with 1001 when `Door.closing` is set. When it
    returns, the connection is closed with 1000, when it raises, with 1011. `app` is an ASGI
    application; its lifespan is not run. `peer` tells the address of a connection's peer.
    Each listener has a heart among `hearts` while it accepts.

    Leaving the block normally drains (`Door.drain`); leaving it by an exception or cancellation
    cuts everything off at once. Either way no task and no socket is left. Raises only what the
    block raises and OSErrors of accept that do not pass, in an exception group.
    """
    try:
        door = Door(listeners, settings, app, handler, peer, Hearts() if hearts is None else hearts)
        async with trio.open_nursery() as nursery:
            for listener in listeners:
                nursery.start_soon(door._accept, listener, nursery)
            log.info(
                "open door", addresses=[f"{host} port {port}" for host, port in door.addresses]
            )
            try:
                yield door
                await door.drain()
            finally:
                nursery.cancel_scope.cancel(reason="the door is closed")
    finally:
        for listener in listeners:
            listener.socket.close()
