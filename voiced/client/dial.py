"""Getting to a WebSocket: connecting, upgrading, and saying plainly why it did not work."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio
from trio_websocket import ConnectionRejected, WebSocketConnection
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState

from voiced.errors import ClientError, UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from pathlib import Path

    from wsproto.events import Ping

    from voiced.client.address import Address

# An input_audio_buffer.append may be 21 MiB; nothing a server sends is larger.
MESSAGE_BYTES: Final = 22 << 20


# What OpenSSL makes of an answer that is plain HTTP.
NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"}


class ServerAbsent(ClientError):
    """Nothing listens where the server was looked for."""


class KeyRefused(ClientError):
    """The server wants a key, and got none or a wrong one."""


@asynccontextmanager
async def open_stream(
    address: Address, connect_s: float, ca: Path | None = None
) -> AsyncGenerator[WatchedStream, None]:
    """A TCP or TLS connection to `address`, closed with the context.

    `ca` is a PEM file of authorities to trust in place of the system's. Raises `ClientError`, and
    `UsageError` where `ca` cannot be used.
    """
    context = client_context(ca) if address.tls else None
    try:
        with trio.fail_after(connect_s):
            if context is not None:
                secure = await trio.open_ssl_over_tcp_stream(
                    address.host, address.port, https_compatible=True, ssl_context=context
                )
                try:
                    await secure.do_handshake()
                except BaseException:
                    await trio.aclose_forcefully(secure)
                    raise
                stream = WatchedStream(secure)
            else:
                stream = WatchedStream(await trio.open_tcp_stream(address.host, address.port))
    except trio.TooSlowError:
        raise too_slow(address, connect_s) from None
    except OSError as exc:
        raise ServerAbsent(f"nothing answers at {address.url}: {_cause(exc)}") from exc
    except trio.BrokenResourceError as exc:
        raise no_tls(address, exc.__cause__) from exc
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


def client_context(ca: Path | None) -> ssl.SSLContext:
    """What a client trusts: `ca`, else `SSL_CERT_FILE`, else the system. Raises `UsageError`."""
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise UsageError(f"{ca} holds no certificate in PEM form") from None
    except OSError as exc:
        raise UsageError(f"{ca} cannot be read: {exc.strerror}") from None


def no_tls(address: Address, cause: BaseException | None) -> ClientError:
    """What to say of a TLS handshake that failed."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = cause.verify_message
        hint = " (--ca names the file of an authority to trust)" if "issuer" in why else ""
        return ClientError(f"the certificate of {address.url} is not trusted: {why}{hint}")
    if isinstance(cause, ssl.SSLError) and cause.reason in NOT_TLS:
        return ClientError(f"{address.url} does not speak TLS; try ws://")
    return ClientError(f"no TLS connection to {address.url}: {cause or 'the server hung up'}")


async def upgrade(
    nursery: trio.Nursery,
    stream: WatchedStream,
    address: Address,
    headers: list[tuple[bytes, bytes]],
) -> WebSocketConnection:
    """Upgrade `stream` to a WebSocket, whose reader task runs in `nursery`.

    Raises `ClientError` where the peer hangs up instead. What else it may answer ends the
    reader task, and so the nursery: see `rejected` and `no_websocket`.
    """
    websocket: WebSocketConnection | None = None
    async with trio.open_nursery() as race:

        async def watch() -> None:
            await stream.ended.wait()
            race.cancel_scope.cancel(reason="the server hung up")

        race.start_soon(watch)
        websocket = await wrap_stream(
            nursery, stream, address.netloc, address.resource, headers=headers
        )
        race.cancel_scope.cancel(reason="connected")
    if websocket is None:
        raise no_websocket(address)
    return websocket


class ClientSocket(WebSocketConnection):
    """A client-side connection that a Ping does not break which crosses our Close.

    trio-websocket 0.12.2 answers such a Ping, and fails since it may not any more.
    """

    async def _handle_ping_event(self, event: Ping) -> None:
        if self._wsproto.state is ConnectionState.OPEN:
            await super()._handle_ping_event(event)


async def wrap_stream(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    host: str,
    resource: str,
    *,
    headers: list[tuple[bytes, bytes]],
    protocols: Iterable[str] = (),
    backlog: int = 1,
    most_bytes: int = MESSAGE_BYTES,
) -> WebSocketConnection:
    """trio-websocket's `wrap_client_stream`, with a `ClientSocket`.

    Holds `backlog` messages that nobody has read yet; closes at one longer than `most_bytes`.
    """
    connection = ClientSocket(
        stream,
        WSConnection(ConnectionType.CLIENT),
        host=host,
        path=resource,
        client_subprotocols=protocols,
        client_extra_headers=headers,
        message_queue_size=backlog,
        max_message_size=most_bytes,
    )
    nursery.start_soon(connection._reader_task)
    await connection._open_handshake.wait()
    return connection


class WatchedStream(trio.abc.Stream):
    """A stream that tells when the peer hung up.

    trio-websocket 0.12 waits for the upgrade for ever when the server hangs up or answers
    with something that is not HTTP.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.ended = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        return data

    async def aclose(self) -> None:
        self.ended.set()
        await self._stream.aclose()


def rejected(group: BaseExceptionGroup[ConnectionRejected], address: Address) -> ClientError:
    """What to say of an HTTP answer that is no upgrade."""
    rejection = group.exceptions[0]
    assert isinstance(rejection, ConnectionRejected)
    body = bytes(rejection.body or b"").decode(errors="replace").strip().partition("\n")[0]
    said = f": {body[:200]}" if body.isprintable() and body else ""
    return ClientError(f"{address.url} refused with HTTP status {rejection.status_code}{said}")


def no_websocket(address: Address) -> ClientError:
    """What to say of a peer that does something else than HTTP."""
    return ClientError(f"{address.url} does not speak WebSocket")


def too_slow(address: Address, connect_s: float) -> ClientError:
    """What to say of a peer that does nothing."""
    return ClientError(f"{address.url} did not answer within {connect_s:g} s")


def _cause(exc: OSError) -> str:
    """The reason alone: trio puts the address in front, and what it tried in a group behind."""
    inner: BaseException = exc
    while isinstance(inner.__cause__, BaseException):
        inner = inner.__cause__
        if isinstance(inner, BaseExceptionGroup):
            inner = inner.exceptions[0]
    reason = inner.strerror if isinstance(inner, OSError) else None
    return (reason or str(inner)).rpartition(": ")[2]
