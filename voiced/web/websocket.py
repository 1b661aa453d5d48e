"""WebSockets of the front door, their handshake done (`voiced.web.handshake`): trio-websocket's."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
import structlog
import trio
from trio_websocket import CloseReason, ConnectionClosed, WebSocketConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    TextMessage,
)

from voiced.realtime.secrets import Attached

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wsproto.connection import Connection

log = structlog.get_logger()

# One message waits while the handler works on the one before; more only costs memory, since a
# message may be as large as limits.frame_bytes and TCP holds back the rest.
QUEUE_MESSAGES = 1
# Read at once, and freed at once: holds 100 ms of base64 audio at 24 kHz with room to spare.
RECEIVE_BYTES = 16_384

TEXT = 0x81
"""The first byte of a text message in one frame."""

CLOSE_NORMAL = 1000
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


def text_frame(text: str) -> bytes:
    """A whole text message as a server sends it (RFC 6455, 5.2): not masked, not compressed."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        head = bytes((TEXT, size))
    elif size < 65_536:
        head = struct.pack("!BBH", TEXT, 126, size)
    else:
        head = struct.pack("!BBQ", TEXT, 127, size)
    return head + payload


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
        #: Called with the payload of each pong, as it comes.
        self.on_pong: Callable[[bytes], None] = lambda payload: None

    async def send_ping(self, payload: bytes = b"") -> None:
        """Ask for a sign of life, without waiting for it: see `heard_at` and `on_pong`.

        Raises ConnectionClosed when the connection is closed.
        """
        if self._close_reason is not None:
            raise ConnectionClosed(self._close_reason)
        await self._send(Ping(payload=payload))

    async def send_texts(self, texts: Iterable[str]) -> None:
        """Send several messages in one write, framed here, at a tenth of what wsproto takes for it:
        where the same goes to many, that is most of the work.

        Raises ConnectionClosed when the connection is closed.
        """
        if self._close_reason is not None or self._wsproto.state is not ConnectionState.OPEN:
            raise ConnectionClosed(self._close_reason)
        data = b"".join(map(text_frame, texts))
        async with self._stream_lock:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await self._abort_web_socket()
                raise ConnectionClosed(self._close_reason) from None

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
                        self.on_pong(bytes(event.payload))
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
