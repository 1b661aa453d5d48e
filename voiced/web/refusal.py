"""Refusals: the short HTTP answers of the front door, in the error shape of the OpenAI API."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import msgspec

from voiced.telemetry.insights import Warning_

if TYPE_CHECKING:
    from voiced.telemetry.insights import Insights


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not served: an HTTP status and an error object for the client.

    `code` is a stable word for machines, or None as in the Realtime protocol; `message` helps a
    person and never carries a path, a traceback or a secret.
    """

    status: int
    code: str | None
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    param: str | None = None


def tell_of_refusal(insights: Insights, refusal: Refusal) -> None:
    """Warn those who watch that somebody is turned away because there are too many. Not who: of
    many at once, each would be a warning of its own."""
    if refusal.status in (429, 503, 507):
        message = f"Somebody was turned away: {refusal.message[:1_000]}"
        insights.warning(Warning_(code=refusal.code or "refused", message=message))


class Refused(Exception):
    """Raised by a route that does not serve a request; the application answers with `refusal`."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class ApiErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: `message` for people, `code` for programs, `param` names the field."""

    message: str
    type: Literal["invalid_request_error", "server_error"]
    param: str | None
    code: str | None


class ApiError(msgspec.Struct, frozen=True):
    """The error object that every refused or failed request is answered with."""

    error: ApiErrorBody


def api_error(status: int, code: str | None, message: str, param: str | None = None) -> ApiError:
    """The error object of an HTTP answer with `status`."""
    kind: Literal["invalid_request_error", "server_error"] = (
        "server_error" if status >= 500 else "invalid_request_error"
    )
    return ApiError(ApiErrorBody(message=message, type=kind, param=param, code=code))


def refusal_body(refusal: Refusal) -> bytes:
    """Return the JSON body of `refusal`."""
    return msgspec.json.encode(
        api_error(refusal.status, refusal.code, refusal.message, refusal.param)
    )


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
