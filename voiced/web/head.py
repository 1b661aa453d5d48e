"""Reading the head of the first request on a connection, parsed by h11."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec
import trio

from voiced.web.refusal import Refusal
from voiced.web.trust import fold_headers

READ_BYTES = 4096
QUERY_FIELDS = 64
TLS_HANDSHAKE = b"\x16\x03"


class Head(msgspec.Struct, frozen=True):
    """The head of a request, and the bytes that it was read from.

    `raw` is the head as received, `rest` what came after it in the same reads. `headers` has
    lower-case names.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    rest: bytes

    def is_websocket(self) -> bool:
        """Whether the client asks to continue as a WebSocket."""
        return (
            self.method == "GET"
            and "upgrade" in self.tokens("connection")
            and "websocket" in self.tokens("upgrade")
        )

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated values of a header field, in lower case."""
        return [token.lower() for token in self.values(name)]

    def values(self, name: str) -> list[str]:
        """Return the comma-separated values of a header field."""
        return [value.strip() for value in self.headers.get(name, "").split(",") if value.strip()]


async def read_head(
    stream: trio.abc.ReceiveStream, *, timeout_s: float, max_bytes: int
) -> Head | Refusal | None:
    """Read the head of the first request.

    Returns a Refusal for a head that is late (408), too large (431) or not HTTP/1.x (400, 505),
    and None for a peer that left, or stayed silent: an answer without a question would confuse
    browsers, which open connections in advance. Raises trio.BrokenResourceError when the
    connection breaks. Cancelling loses what was read.
    """
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=max_bytes)
    raw = bytearray()
    with trio.move_on_after(timeout_s):
        while data := await stream.receive_some(READ_BYTES):
            raw += data
            try:
                parser.receive_data(bytes(data))
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                return _malformed(bytes(raw[:2]), error)
            if isinstance(event, h11.Request):
                return _head(event, bytes(raw), parser.trailing_data[0])
        return None
    if not raw:
        return None
    return Refusal(408, "request_timeout", "The request head did not arrive in time.")


def _malformed(start: bytes, error: h11.RemoteProtocolError) -> Refusal:
    if start == TLS_HANDSHAKE:
        return Refusal(400, "tls_on_plain_port", "This port speaks plain HTTP; use http://.")
    return malformed(error.error_status_hint)


def malformed(status: int) -> Refusal:
    """The refusal of a request that h11 refuses with `status`."""
    if status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return Refusal(status, "request_head_too_large", "The request head is too large.")
    if status == HTTPStatus.HTTP_VERSION_NOT_SUPPORTED:
        return Refusal(status, "http_version_not_supported", "This server speaks HTTP/1.1 only.")
    return Refusal(status, "malformed_request", "This is not a well-formed HTTP/1.1 request.")


def _head(request: h11.Request, received: bytes, rest: bytes) -> Head | Refusal:
    if request.http_version not in {b"1.0", b"1.1"}:
        return malformed(505)
    try:
        target = urlsplit(request.target.decode("ascii"))
        query = dict(parse_qsl(target.query, keep_blank_values=True, max_num_fields=QUERY_FIELDS))
    except ValueError:
        return Refusal(400, "malformed_request", "The request target is malformed.")
    return Head(
        method=request.method.decode("ascii"),
        path=unquote(target.path),
        query=query,
        headers=fold_headers(request.headers),
        raw=received[: len(received) - len(rest)],
        rest=rest,
    )
