"""WebSockets of the front door: the handshake, the connection, and its end.

trio-websocket runs the connection. The handshake is wsproto's, but made here from the head that
the door has read already, so that no HTTP parser and no request stays in memory for as long as
the connection lasts (it would be more than the connection itself).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    TextMessage,
)
from wsproto.handshake import H11Handshake
from wsproto.utilities import ProtocolError, RemoteProtocolError

from voiced.realtime.secrets import Attached
from voiced.web.refusal import Refusal
from voiced.web.streams import linger

if TYPE_CHECKING:
    from voiced.web.head import Head

log = structlog.get_logger()

SUBPROTOCOL = "realtime"
# One message waits while the handler works on the one before; more only costs memory, since a
# message may be as large as limits.frame_bytes and TCP holds back the rest.
QUEUE_MESSAGES = 1
# Read at once, and freed at once: holds 100 ms of base64 audio at 24 kHz with room to spare.
RECEIVE_BYTES = 16_384
# What a client sends before it can know that it is turned away: a session.update with its tools,
# and some seconds of speech.
TURNED_AWAY_BYTES = 262_144
# Not passed on, since they would stay in memory with the connection: fields that are secret, that
# served the handshake, or that say nothing about a conversation.
SPENT_HEADERS = frozenset(
    {"authorization", "connection", "cookie", "host", "proxy-authorization", "upgrade"}
    | {"cache-control", "pragma"}
)
SPENT_PREFIXES = ("sec-", "accept", "content-", "x-stainless-")

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
CLOSE_TOO_BIG = 1009
CLOSE_INTERNAL = 1011
CLOSE_CREDENTIALS = 3000
CLOSE_REQUEST = 4000
CLOSE_UNKNOWN_SESSION = 4001
CLOSE_TOO_MANY = 4029


class Upgrade(msgspec.Struct, frozen=True):
    """The request that became a WebSocket, for its handler.

    `remote` is the peer's IP address (empty for a Unix socket). `headers` has lower-case names
    and lacks credentials and fields of no use after the handshake; `subprotocols` lacks the
    key-bearing one. `attached` is what came with the client secret, if it was one.
    """

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    remote: str
    subprotocols: tuple[str, ...]
    attached: Attached = Attached()


def describe_upgrade(head: Head, remote: str, attached: Attached, *, secret_prefix: str) -> Upgrade:
    """Return what a handler may know of `head`, without subprotocols that carry a key."""
    return Upgrade(
        path=head.path,
        query=head.query,
        headers={
            name: value
            for name, value in head.headers.items()
            if name not in SPENT_HEADERS and not name.startswith(SPENT_PREFIXES)
        },
        remote=remote,
        subprotocols=tuple(
            value
            for value in head.values("sec-websocket-protocol")
            if not value.startswith(secret_prefix)
        ),
        attached=attached,
    )


class DoorSocket(WebSocketConnection):
    """A server-side trio-websocket connection whose handshake is done.

    Fixes two faults of trio-websocket 0.12.2: a Ping that arrives after we sent Close raised in
    its reader, and a malformed frame closed the connection without telling the peer why. And
    keeps no message that has been passed on.
    """

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        connection: Connection,
        *,
        path: str,
        subprotocol: str | None,
        max_message_bytes: int,
    ) -> None:
        super().__init__(
            stream,
            connection,  # type: ignore[arg-type]  # has all that trio-websocket uses of WSConnection
            message_queue_size=QUEUE_MESSAGES,
            max_message_size=max_message_bytes,
            receive_buffer_size=RECEIVE_BYTES,
        )
        self._path = path
        self._subprotocol = subprotocol
        self._connection_proposal = None
        self._open_handshake.set()
        #: When the peer was last heard of, by `trio.current_time()`; a pong is a sign of life too.
        self.heard_at = trio.current_time()

    async def send_ping(self) -> None:
        """Ask for a sign of life, without waiting for it: see `heard_at`.

        Raises ConnectionClosed when the connection is closed.
        """
        if self._close_reason is not None:
            raise ConnectionClosed(self._close_reason)
        await self._send(Ping())

    async def read(self) -> None:
        """Receive until the connection ends; the task behind `get_message`.

        A fault in here ends this connection only. Closes the stream when cancelled or failed.
        """
        try:
            async with self._send_channel:
                while self._reader_running:
                    await self._handle_events()
                    await self._receive()
        except Exception:
            log.exception("websocket reader failed")
            await trio.aclose_forcefully(self._stream)

    # These two are trio-websocket's reader in parts: what is local to a coroutine that waits for
    # the next message stays in memory meanwhile, and would be this message, twice.

    async def _handle_events(self) -> None:
        for event in self._wsproto.events():
            try:
                match event:
                    case TextMessage() | BytesMessage():
                        await self._handle_message_event(event)
                    case Ping():
                        await self._handle_ping_event(event)
                    case Pong():
                        await self._handle_pong_event(event)
                    case CloseConnection():
                        await self._handle_close_connection_event(event)
            except ConnectionClosed:
                self._reader_running = False
                return

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await self._abort_web_socket()
            return
        if not data:
            self._reader_running = False
            if self._wsproto.state is not ConnectionState.CLOSED:
                await self._abort_web_socket()
        elif self._wsproto.state is not ConnectionState.CLOSED:
            self.heard_at = trio.current_time()
            self._wsproto.receive_data(bytes(data))

    async def _handle_ping_event(self, event: Ping) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_ping_event(event)

    async def _handle_close_connection_event(self, event: CloseConnection) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            # The event is wsproto's verdict on a malformed frame; the peer sent no Close.
            self._close_reason = CloseReason(event.code, event.reason)
            await self._send(CloseConnection(code=event.code, reason=event.reason))
        await super()._handle_close_connection_event(event)


async def accept_websocket(
    stream: trio.abc.HalfCloseableStream, head: Head, *, max_message_bytes: int
) -> DoorSocket | Refusal:
    """Answer the upgrade request `head` with 101, or return why it cannot be answered.

    Of the subprotocols on offer only `realtime` is ever chosen, never the one that carries a key.
    The caller must run `read` of the connection in a task, close the connection, and then close
    `stream`. Raises trio.BrokenResourceError when the peer has gone.
    """
    hands = _shake_hands(head)
    if isinstance(hands, Refusal):
        return hands
    hands.connection.receive_data(head.rest)
    await stream.send_all(hands.answer)
    return DoorSocket(
        stream,
        hands.connection,
        path=head.path,
        subprotocol=hands.subprotocol,
        max_message_bytes=max_message_bytes,
    )


class _Hands(msgspec.Struct, frozen=True):
    """A handshake that can be answered, and the connection that begins with `answer`."""

    answer: bytes
    connection: Connection
    subprotocol: str | None


def _shake_hands(head: Head) -> _Hands | Refusal:
    handshake = H11Handshake(ConnectionType.SERVER)
    try:
        handshake.receive_data(head.raw)
        request = next(handshake.events())
        offered = getattr(request, "subprotocols", [])
        subprotocol = SUBPROTOCOL if SUBPROTOCOL in offered else None
        answer = handshake.send(AcceptConnection(subprotocol=subprotocol))
    except RemoteProtocolError as error:
        return _handshake_refusal(error)
    except (ProtocolError, ValueError):
        return Refusal(400, "malformed_request", "The WebSocket handshake is malformed.")
    connection = handshake.connection
    if connection is None:
        raise AssertionError("wsproto makes the connection when it sends the acceptance")
    return _Hands(answer, connection, subprotocol)


def _handshake_refusal(error: RemoteProtocolError) -> Refusal:
    hint = error.event_hint
    status = hint.status_code if isinstance(hint, RejectConnection) else 400
    headers = (("Sec-WebSocket-Version", "13"),) if status == 426 else ()
    return Refusal(status, "malformed_request", f"WebSocket handshake: {error}.", headers)


async def close_websocket(
    websocket: WebSocketConnection, code: int, reason: str | None, *, timeout_s: float
) -> None:
    """Close with `code` and `reason` (at most 123 bytes of UTF-8), waiting at most `timeout_s`.

    For handlers. After that time the peer is cut off, so this never hangs on one that does not
    read. Idempotent.
    """
    with trio.move_on_after(timeout_s):
        await websocket.aclose(code, reason)


async def turn_away(
    stream: trio.abc.HalfCloseableStream,
    head: Head,
    refusal: Refusal,
    code: int,
    *,
    timeout_s: float,
) -> Refusal | None:
    """Accept the upgrade `head`, send one `error` event for `refusal`, and close with `code`.

    The form is that of the real service: browsers cannot see the status of a refused upgrade,
    but they see this. The close reason is the error's type and, where there is one, its code.

    Whoever is turned away may not cost anything: nothing that it sends is looked at, so no message
    of its own gathers in memory, and after `TURNED_AWAY_BYTES` or `timeout_s` it is cut off.
    Returns why the upgrade itself cannot be answered, in which case nothing was sent. Raises
    trio.BrokenResourceError when the peer has gone. The caller closes `stream`.
    """
    hands = _shake_hands(head)
    if isinstance(hands, Refusal):
        return hands
    kind = "invalid_request_error"
    event = {
        "type": "error",
        "event_id": f"event_{secrets.token_hex(10)}",
        "error": {
            "type": kind,
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": None,
        },
    }
    reason = kind if refusal.code is None else f"{kind}.{refusal.code}"
    send = hands.connection.send
    farewell = send(TextMessage(msgspec.json.encode(event).decode())) + send(
        CloseConnection(code=code, reason=reason)
    )
    with trio.move_on_after(timeout_s):
        await stream.send_all(hands.answer + farewell)
        await linger(stream, timeout_s, max_bytes=TURNED_AWAY_BYTES)
    return None
