"""TLS of the front door: its certificate, the handshake, and the stream that comes out of it.

Everything behind the handshake is the same as on the plain port.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import trio

from voiced.errors import SettingsError
from voiced.web.refusal import Refusal, refusal_response
from voiced.web.streams import MessageStream, linger
from voiced.web.validity import read_validity

if TYPE_CHECKING:
    from voiced.settings import Server

# Older clients of the Realtime protocol than these do not exist; TLS 1.0 and 1.1 are deprecated
# by RFC 8996.
MINIMUM_VERSION = ssl.TLSVersion.TLSv1_2
# WebSockets over HTTP/2 (RFC 8441) are not offered, and HTTP/1.1 is what the door speaks.
PROTOCOLS = ["http/1.1"]
DISCARD_BYTES = 65_536
RENEW = "renew it, then send SIGHUP to a daemon that runs"


class HasContext(Protocol):
    """What the door needs of a certificate, wherever it comes from."""

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a new connection; a later one may get another."""
        ...


class FileCertificate:
    """A certificate and its key in PEM files, read when it is made, and by `reload`."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Read the files; raises SettingsError, in one line that names file and remedy."""
        self._cert, self._key = cert, key
        self._context = read_context(cert, key)
        self.validity = read_validity(cert)

    @property
    def context(self) -> ssl.SSLContext:
        """The context for a new connection."""
        return self._context

    def reload(self) -> None:
        """Read the files again, for the connections that come from now on.

        Raises SettingsError, and then keeps what it had.
        """
        self._context = read_context(self._cert, self._key)
        self.validity = read_validity(self._cert)

    def warning(self, now: datetime | None = None) -> str:
        """Why clients refuse the certificate now, and what to do; empty where they do not."""
        fault = self.validity and self.validity.fault(now or datetime.now(UTC))
        return f"{fault}: clients refuse it; {RENEW}" if fault else ""


def find_certificate(server: Server) -> FileCertificate | None:
    """Return the certificate that the settings name, or None where TLS is off.

    Raises SettingsError where it cannot be used, or only one of the two files is named.
    """
    if not server.tls_cert and not server.tls_key:
        return None
    if not server.tls_cert or not server.tls_key:
        given, missing = ("tls_cert", "tls_key") if server.tls_cert else ("tls_key", "tls_cert")
        raise SettingsError(
            f"server.{given} is set and server.{missing} is not; set both for TLS (they may name"
            " one file that holds the certificate and its key), or neither"
        )
    return FileCertificate(Path(server.tls_cert).expanduser(), Path(server.tls_key).expanduser())


def read_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a server's context with the certificate chain in `cert` and the key in `key`.

    Raises SettingsError, in one line that names the file and what to do about it.
    """
    for path, name in ((cert, "tls_cert"), (key, "tls_key")):
        _check_readable(path, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = MINIMUM_VERSION
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(PROTOCOLS)

    def no_password() -> str:
        # Without it, OpenSSL would ask the terminal.
        raise SettingsError(
            f"server.tls_key: {key} is protected by a password; store the key without one, for"
            f" example with `openssl pkey -in {key} -out plain.pem`"
        )

    try:
        context.load_cert_chain(cert, key, password=no_password)
    except ssl.SSLError as error:
        raise SettingsError(_explain(cert, key, error)) from error
    return context


def _check_readable(path: Path, name: str) -> None:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise SettingsError(
            f"server.{name}: {path} cannot be read ({error.strerror}); name a PEM file that this"
            " user may read"
        ) from error


def _explain(cert: Path, key: Path, error: ssl.SSLError) -> str:
    match error.reason:
        case "KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH":
            return (
                f"server.tls_key: {key} is not the key of the certificate in {cert}; name the key"
                " that the certificate was made with"
            )
        case "EE_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK" | "CA_KEY_TOO_SMALL":
            return (
                f"server.tls_cert: {cert} is too weak for today's clients; make one with an ECDSA"
                " P-256 or RSA 2048 key and SHA-256"
            )
    # OpenSSL does not say which of the two it could not parse.
    name, path, what = "tls_cert", cert, "certificate"
    if _holds_certificate(cert):
        name, path, what = "tls_key", key, "private key"
    return f"server.{name}: {path} holds no usable {what} in PEM form; name a file that does"


def _holds_certificate(path: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return True


class HandshakeFailed(Exception):
    """No TLS came about; the text says why, for the log."""


class TlsStream(trio.abc.HalfCloseableStream):
    """A connection after its handshake; made by `shake_hands`.

    trio's SSLStream, with an end in two steps: `send_eof` says goodbye (close_notify, then FIN)
    and goes on listening, so that `linger` works as on a plain socket. A peer that leaves
    without close_notify, as many do, has simply left.
    """

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self._stream = stream
        self._transport = _Transport(stream)
        self._tls = trio.SSLStream(self._transport, context, server_side=True)
        self._finished = False

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket below."""
        return self._stream.socket

    async def do_handshake(self) -> None:
        """Shake hands. Raises trio.BrokenResourceError where that fails."""
        await self._tls.do_handshake()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return at most `max_bytes` of what came; b"" at the end.

        After `send_eof` what comes is only thrown away, a portion a call: it is returned as it
        is on the wire. Raises trio.BrokenResourceError when the connection breaks.
        """
        if self._finished:
            return await self._transport.receive_some(DISCARD_BYTES)
        try:
            return await self._tls.receive_some(max_bytes)
        except trio.BrokenResourceError as error:
            if isinstance(error.__cause__, ssl.SSLEOFError):
                return b""
            raise

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`; a cancelled one leaves the stream unusable."""
        await self._tls.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until a send is likely not to block."""
        await self._tls.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the peer that nothing more will come. Idempotent."""
        self._finished = True
        await self._tls.aclose()

    async def aclose(self) -> None:
        """Say goodbye and close the socket. Idempotent; cancelling closes it at once."""
        try:
            await self.send_eof()
        except trio.BusyResourceError:
            # Cancelled while another task still sends, which no goodbye can overtake.
            await trio.lowlevel.checkpoint()
        finally:
            self._stream.socket.close()


class _Transport(trio.abc.Stream):
    """What TLS runs on: the socket, of which `aclose` ends the sending side only."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._messages = MessageStream(stream)  # frugal with what waits

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._messages.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        try:
            await self._stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()  # the peer was first


async def shake_hands(
    stream: trio.SocketStream, context: ssl.SSLContext, *, timeout_s: float, close_timeout_s: float
) -> TlsStream:
    """Return `stream` with TLS on it, of which we are the server.

    A peer that speaks plain HTTP is told so in plain HTTP. Raises HandshakeFailed where no TLS
    comes about in `timeout_s`, and trio.BrokenResourceError when the peer has gone. The caller
    closes `stream`.
    """
    secure = TlsStream(stream, context)
    try:
        with trio.fail_after(timeout_s):
            await secure.do_handshake()
    except trio.TooSlowError:
        raise HandshakeFailed("timeout") from None
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError):
            raise
        if cause.reason == "HTTP_REQUEST":
            message = "This port speaks TLS; use https:// or wss://."
            await stream.send_all(refusal_response(Refusal(400, "plain_on_tls_port", message)))
            await linger(stream, close_timeout_s)
        raise HandshakeFailed((cause.reason or "unknown").lower()) from None
    return secure
