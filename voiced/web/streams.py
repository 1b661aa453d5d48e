"""Streams of the front door: listening sockets, replayed heads, bounded sends, polite ends."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import trio

from voiced.errors import StartupError
from voiced.web.trust import plain_address

if TYPE_CHECKING:
    from voiced.web.tls import TlsStream

    ClientStream: TypeAlias = trio.SocketStream | TlsStream

SEND_CHUNK_BYTES = 65_536
RECEIVE_BYTES = 65_536
# A peer that has gone without a word is noticed after about a minute.
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_PROBES = 30, 10, 3
# Some 200 messages to an observer; the kernel doubles it, for what it needs itself.
NEWS_BYTES = 32_768
# Where all WebSockets receive: 200 ms of base64 audio at 24 kHz, so one read for a message of
# speech; a flood takes turns with the others after as much.
_received = memoryview(bytearray(16_384))


async def open_listeners(
    host: str, port: int, *, send_timeout_s: float, setting: str = "server.port"
) -> list[trio.SocketListener]:
    """Open listening TCP sockets on `host` and `port` (0: the kernel chooses).

    `setting` is the name of the key that `port` comes from.

    Accepted sockets inherit TCP keep-alive, and a TCP_USER_TIMEOUT of `send_timeout_s`, after
    which the kernel gives up on a peer that acknowledges nothing; trio sets TCP_NODELAY on them.
    The caller closes the listeners, or gives them to `open_door`, which does.

    Raises StartupError, in one line that names host and port and what to do.
    """
    try:
        listeners = await trio.open_tcp_listeners(port, host=host or None)
    except OSError as error:
        raise StartupError(_explain(host, port, setting, error)) from error
    for listener in listeners:
        prepare_listener(listener, send_timeout_s=send_timeout_s)
    return listeners


def prepare_listener(listener: trio.SocketListener, *, send_timeout_s: float) -> None:
    """Set the options that accepted TCP sockets inherit; for sockets opened by somebody else."""
    if listener.socket.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    option = listener.socket.setsockopt
    option(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
    option(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    option(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(send_timeout_s * 1000))


def keep_little(stream: trio.SocketStream) -> None:
    """Have the kernel take no more for this peer than it needs to be kept busy.

    Where news replaces news that nobody has read, what lies in the kernel is old, and cannot be
    replaced any more: on loopback that would be two megabytes.
    """
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NEWS_BYTES)


def _explain(host: str, port: int, setting: str, error: OSError) -> str:
    where = f"cannot listen on {host or 'all addresses'} port {port}"
    if isinstance(error, socket.gaierror):
        return f"{where}: no such host; set server.host to an address of this machine"
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{where}: the port is in use; stop the other program"
                f" (`ss -ltnp 'sport = :{port}'` names it) or set {setting}"
            )
        case errno.EACCES | errno.EPERM:
            return f"{where}: permission denied; set {setting} to 1024 or more"
        case errno.EADDRNOTAVAIL:
            return f"{where}: not an address of this machine; set server.host"
        case _:
            cause = os.strerror(error.errno) if error.errno else str(error)
            return f"{where}: {cause}; set server.host and {setting}"


def peer_address(stream: trio.SocketStream) -> str:
    """Return the peer's IP address, without port; empty for a Unix socket, which is local.

    Raises OSError when the peer has already gone.
    """
    return _host_of(stream.socket.getpeername())


def local_address(stream: trio.SocketStream) -> tuple[str, int]:
    """Return the IP address and port on which the peer reached us; ("", 0) for a Unix socket."""
    name = stream.socket.getsockname()
    return (_host_of(name), int(name[1])) if isinstance(name, tuple) else ("", 0)


class Line(msgspec.Struct, frozen=True):
    """A connection that can carry requests, TLS done where there is any, and its two ends.

    `peer` is the IP address of the client (empty for a Unix socket), `local` the address and port
    on which it reached us.
    """

    stream: ClientStream
    peer: str
    local: tuple[str, int]
    secure: bool


def _host_of(name: object) -> str:
    return plain_address(str(name[0])) if isinstance(name, tuple) else ""


class MessageStream(trio.abc.HalfCloseableStream):
    """What a WebSocket gets of a plain socket: the same, but frugal with what waits.

    trio's own `receive_some` allocates all that may come, and gives back what did not come: with
    many connections the heap is full of holes of that size. Here all receive into one buffer, and
    keep what came. And it waits first, since speech comes 20 ms apart: a read that finds nothing
    is a wasted call for each message.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Return at most `max_bytes`, and at most 16 KiB, of what has come; b"" at the end.

        Cancelling loses nothing. Raises trio.BrokenResourceError when the peer has gone, and
        trio.ClosedResourceError when the stream was closed meanwhile.
        """
        socket = self._stream.socket
        whole = max_bytes is None or max_bytes >= len(_received)
        while socket.fileno() >= 0:
            await trio.lowlevel.wait_readable(socket)
            try:
                # No checkpoint between here and the copy: another connection may be next.
                target = _received if whole else _received[:max_bytes]
                size = os.readv(socket.fileno(), (target,))
            except BlockingIOError:
                continue
            except OSError as error:
                if socket.fileno() < 0:
                    break
                raise trio.BrokenResourceError(f"cannot receive: {error.strerror}") from error
            return _received[:size].tobytes()
        raise trio.ClosedResourceError("this stream was closed")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`; see trio.SocketStream."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send is likely not to block."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the peer that nothing more will come."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the socket. Idempotent."""
        await self._stream.aclose()


class HttpStream(trio.abc.HalfCloseableStream):
    """What hypercorn gets: the stream with its already read bytes put back, and bounded sends.

    hypercorn sends inside a shield without deadline. Here each piece of `SEND_CHUNK_BYTES` must
    be taken within `send_timeout_s`, else the connection is aborted, and `abort` ends a pending
    send from outside, so nothing hangs on a client that does not read.
    """

    def __init__(self, stream: ClientStream, head: bytes, *, send_timeout_s: float) -> None:
        self._stream = stream
        self._head = head
        self._send_timeout_s = send_timeout_s

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self._stream.socket

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return the bytes put back first, then what the peer sends; b"" at its end."""
        if self._head:
            await trio.lowlevel.checkpoint()
            size = len(self._head) if max_bytes is None else max_bytes
            data, self._head = self._head[:size], self._head[size:]
            return data
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`.

        Raises trio.BrokenResourceError when the peer has gone or takes nothing for too long.
        """
        view = memoryview(data)
        for start in range(0, len(view), SEND_CHUNK_BYTES):
            with trio.move_on_after(self._send_timeout_s) as scope:
                await self._stream.send_all(view[start : start + SEND_CHUNK_BYTES])
            if scope.cancelled_caught:
                self.abort()
                raise trio.BrokenResourceError("the peer takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send is likely not to block."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the peer that nothing more will come."""
        await self._stream.send_eof()

    def abort(self) -> None:
        """Close the socket now; whoever sends or receives gets trio.ClosedResourceError."""
        self._stream.socket.close()

    async def aclose(self) -> None:
        """Close the socket. Idempotent."""
        await self._stream.aclose()


async def linger(
    stream: trio.abc.HalfCloseableStream, timeout_s: float, *, max_bytes: int | None = None
) -> None:
    """End our side, and throw away what the peer still sends.

    It ends with the peer's side, after `timeout_s`, or with `max_bytes`, if given. A socket closed
    with unread data in it resets the connection, and the peer may then never see the answer that
    we sent before. Closing the stream is left to its owner.
    """
    taken = 0
    with trio.move_on_after(timeout_s):
        try:
            await stream.send_eof()
            while max_bytes is None or taken < max_bytes:
                data = await stream.receive_some(RECEIVE_BYTES)
                if not data:
                    return
                taken += len(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
