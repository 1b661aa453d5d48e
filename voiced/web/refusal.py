"""Refusals: the short HTTP answers of the front door, in the error shape of the OpenAI API."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not served: an HTTP status and an error object for the client.

    `code` is a stable word for machines, or None as in the Realtime protocol; `message` helps a
    person and never carries a path, a traceback or a secret.
    """

    status: int
    code: str | None
    message: str
    headers: tuple[tuple[str, str], ...] = ()


def error_body(status: int, code: str | None, message: str) -> dict[str, Any]:
    """Return the OpenAI error object of an HTTP answer with `status`."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of `refusal`."""
    return msgspec.json.encode(error_body(refusal.status, refusal.code, refusal.message))


def refusal_headers(refusal: Refusal, body: bytes) -> list[tuple[bytes, bytes]]:
    """Return the header fields that go with `body`; the connection is always closed after it."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in refusal.headers]
    return headers


def refusal_response(refusal: Refusal) -> bytes:
    """Return the whole HTTP/1.1 response, ready to send to a peer that has no ASGI server yet."""
    body = refusal_body(refusal)
    try:
        phrase = HTTPStatus(refusal.status).phrase
    except ValueError:  # h11 may hint a status that this Python does not know
        phrase = "Error"
    lines = [b"HTTP/1.1 %d %s" % (refusal.status, phrase.encode("ascii"))]
    lines += [b"%s: %s" % header for header in refusal_headers(refusal, body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
