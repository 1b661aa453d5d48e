"""The front door: one listening port for WebSockets and HTTP, and one for both over TLS.

    listener → accept → pending: TLS, read the head, check it ─┬→ WebSocket → handler
                                                               └→ hypercorn → gate → quart-trio app

Every connection is one task of the door's nursery and can end only itself.
"""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio
from structlog.contextvars import bound_contextvars
from trio_websocket import ConnectionClosed

from voiced.realtime.secrets import ClientSecrets
from voiced.supervision.hearts import SILENT_S, Hearts
from voiced.web.admission import Admission, AdmittedHttp, AdmittedSocket
from voiced.web.auth import Authenticator
from voiced.web.entrance import Entrance, accept_all, address_of, open_line
from voiced.web.gate import Gate
from voiced.web.guesses import WrongKeys
from voiced.web.http import HttpServer
from voiced.web.pending import Pending
from voiced.web.request_shape import is_observer
from voiced.web.streams import keep_little, linger, peer_address
from voiced.web.trust import Trust
from voiced.web.websocket import (
    CLOSE_INTERNAL,
    CLOSE_NORMAL,
    CLOSE_TOO_BIG,
    DoorSocket,
    Upgrade,
)

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from voiced.settings import Settings
    from voiced.web.entrance import AddressOf
    from voiced.web.gate import Application
    from voiced.web.refusal import Refusal
    from voiced.web.streams import Line
    from voiced.web.tls import HasContext

    SocketHandler = Callable[[DoorSocket, Upgrade], Awaitable[None]]

log = structlog.get_logger()


class Door:
    """An open door; made by `open_door`."""

    def __init__(
        self,
        entrances: Sequence[Entrance],
        settings: Settings,
        app: Application,
        handler: SocketHandler,
        peer: AddressOf,
        hearts: Hearts,
        client_secrets: ClientSecrets,
        on_refusal: Callable[[Refusal], None],
    ) -> None:
        trust = Trust(settings.server)
        authenticator = Authenticator(
            settings.auth.token,
            wrong_keys=WrongKeys(trio.current_time, settings.limits.wrong_keys_per_minute),
            client_secrets=client_secrets,
            token_on_loopback=settings.auth.token_on_loopback,
        )
        #: Set once the door stops accepting: handlers then close their WebSockets with 1001.
        self.closing = trio.Event()
        #: The IP address and port of each plain listener; the path and 0 for a Unix socket.
        self.addresses = tuple(address_of(e.listener) for e in entrances if e.certificate is None)
        #: The same of the listeners with TLS.
        self.secure_addresses = tuple(address_of(e.listener) for e in entrances if e.certificate)
        self._entrances = entrances
        self._settings = settings
        self._handler = handler
        self._peer = peer
        self._hearts = hearts
        self._admission = Admission(settings, trust, authenticator, on_refusal)
        self._gate = Gate(app, settings, trust, authenticator)
        self._http = HttpServer(self._gate, settings)
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

    @property
    def refused(self) -> Counter[str]:
        """How many connections and requests were not let in, by code."""
        return self._admission.refused + self._gate.refused

    async def stop(self) -> None:
        """Stop accepting, and set `closing`. Idempotent.

        Pending connections are closed, idle HTTP connections too, and HTTP responses under way
        are finished. WebSockets are left to their handlers.
        """
        if self.closing.is_set():
            return
        self.closing.set()
        for entrance in self._entrances:
            entrance.listener.socket.close()
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

    async def _accept(self, entrance: Entrance, nursery: trio.Nursery) -> None:
        def welcome(stream: trio.SocketStream) -> None:
            self._open += 1
            nursery.start_soon(self._serve, stream, entrance, self._pending.enter())

        with self._hearts.add("door", SILENT_S) as heart:
            await accept_all(entrance.listener, heart, welcome, self._pending.evict)

    async def _serve(
        self, stream: trio.SocketStream, entrance: Entrance, place: trio.CancelScope
    ) -> None:
        """Serve one connection from its first byte to its last. Raises nothing but Cancelled."""
        try:
            with bound_contextvars(connection=next(self._numbers)):
                line = admitted = None  # stays so when evicted
                with self._pending.hold(place):
                    line = await open_line(stream, entrance, self._peer, self._settings.server)
                    admitted = None if line is None else await self._admission.admit(line)
                if isinstance(admitted, AdmittedSocket) and is_observer(admitted.upgrade.query):
                    keep_little(stream)
                if line is not None and admitted is not None:
                    await self._serve_admitted(admitted, line)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("connection broken")
        except* Exception:
            log.exception("connection failed")
        finally:
            stream.socket.close()
            self._open -= 1
            if self.closing.is_set() and not self._open:
                self._empty.set()

    async def _serve_admitted(self, admitted: AdmittedSocket | AdmittedHttp, line: Line) -> None:
        try:
            if isinstance(admitted, AdmittedSocket):
                await self._serve_socket(admitted.websocket, admitted.upgrade, line)
            else:
                await self._http.serve(
                    admitted.stream,
                    peer=(admitted.peer, 0),
                    local=line.local,
                    secure=line.secure,
                )
        finally:
            self._admission.release(admitted)

    async def _serve_socket(self, websocket: DoorSocket, upgrade: Upgrade, line: Line) -> None:
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
            await linger(line.stream, timeout_s)

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


@asynccontextmanager
async def open_door(
    listeners: Sequence[trio.SocketListener],
    settings: Settings,
    *,
    app: Application,
    handler: SocketHandler,
    peer: AddressOf = peer_address,
    hearts: Hearts | None = None,
    secure: Sequence[trio.SocketListener] = (),
    certificate: HasContext | None = None,
    client_secrets: ClientSecrets | None = None,
    on_refusal: Callable[[Refusal], None] = lambda refusal: None,
) -> AsyncIterator[Door]:
    """Serve WebSockets and HTTP on `listeners` (see `open_listeners`), and over TLS, with
    `certificate`, on those of `secure`. The door closes all of them.

    `handler(websocket, upgrade)` runs in a task of its own for each WebSocket that passed the
    rules. It must read all the time (an unread message holds up pings and closing), sees
    ConnectionClosed when its peer leaves, and closes with 1001 when `Door.closing` is set. When it
    returns, the connection is closed with 1000, when it raises, with 1011. `app` is an ASGI
    application; its lifespan is not run. `client_secrets` open WebSockets as the token does.
    `peer` tells the address of a connection's peer. `on_refusal` is told of each connection that
    is turned away.
    Each listener has a heart among `hearts` while it accepts.

    Leaving the block normally drains (`Door.drain`); leaving it by an exception or cancellation
    cuts everything off at once. Either way no task and no socket is left. Raises only what the
    block raises and OSErrors of accept that do not pass, in an exception group.
    """
    if secure and certificate is None:
        raise ValueError("TLS listeners need a certificate")
    if client_secrets is None:
        client_secrets = ClientSecrets(trio.current_time, most=0, most_bytes=0)
    hearts = Hearts() if hearts is None else hearts
    entrances = [Entrance(listener) for listener in listeners]
    entrances += [Entrance(listener, certificate) for listener in secure]
    try:
        door = Door(entrances, settings, app, handler, peer, hearts, client_secrets, on_refusal)
        async with trio.open_nursery() as nursery:
            for entrance in entrances:
                nursery.start_soon(door._accept, entrance, nursery)
            log.info(
                "open door",
                addresses=[f"{host} port {port}" for host, port in door.addresses],
                tls=[f"{host} port {port}" for host, port in door.secure_addresses],
            )
            try:
                yield door
                await door.drain()
            finally:
                nursery.cancel_scope.cancel(reason="the door is closed")
    finally:
        for entrance in entrances:
            entrance.listener.socket.close()
