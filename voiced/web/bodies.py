"""JSON bodies of HTTP requests and answers: read strictly, written the same way everywhere."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, TypeVar

import msgspec
import structlog
from quart import Request, Response, request

from voiced.conversation.config import rejected_by
from voiced.conversation.paths import with_indexes
from voiced.errors import EngineUnavailable
from voiced.web.refusal import Refusal, Refused, refusal_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.errors import VoicedError

log = structlog.get_logger()

T = TypeVar("T")

API = "/v1/"

RETRY_AFTER_S = {429: "1", 503: "2"}
"""When it is worth to try again: a queue moves on soon, an engine takes a moment to start."""


async def read_json(kind: type[T]) -> T:
    """The body of the current request as `kind`.

    Raises `Refused` with 400 where it is no JSON or does not fit: the error's `param` is the
    dotted path of the field. The declared media type is not looked at, as many clients leave it
    out. Raises RequestEntityTooLarge beyond the limit of the route.
    """
    body = await request.get_data()
    try:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.ValidationError as exc:
            problem = with_indexes(str(exc), msgspec.json.decode(body), kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise Refused(Refusal(400, "invalid_json", "The body is not valid JSON.")) from exc
    why = rejected_by(problem, "")
    raise Refused(Refusal(400, why.code, why.message, param=why.param or None))


def answer_json(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with `value` as its JSON body; no cache keeps it."""
    response = Response(msgspec.json.encode(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


class RefusalResponse(Response):
    """The answer for `refusal`, in the error shape of the API."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal_body(refusal), refusal.status, content_type="application/json")
        self.headers["Cache-Control"] = "no-store"
        self.headers.extend(refusal.headers)
        self.refusal = refusal


def answer_refusal(refusal: Refusal) -> Response:
    """The answer for `refusal`, in the error shape of the API."""
    return RefusalResponse(refusal)


def note_refusal(request: Request, response: Response) -> None:
    """Log a request of the API that was refused, for whoever wonders why a client fails."""
    if not isinstance(response, RefusalResponse):
        return
    if 400 <= response.status_code < 500 and request.path.startswith(API):
        log.info(
            "refuse request",
            method=request.method,
            path=request.path,
            remote=request.remote_addr,
            status=response.status_code,
            code=response.refusal.code,
            param=response.refusal.param,
        )


def _retry_after(error: VoicedError) -> str:
    """A paused engine says itself when it is started again; then it has to load."""
    usual = RETRY_AFTER_S[error.status]
    if isinstance(error, EngineUnavailable) and error.retry_after_s is not None:
        return str(max(ceil(error.retry_after_s), int(usual)))
    return usual


def answer_error(error: VoicedError) -> Response:
    """The answer for an error of ours. Clients of the API try again by themselves on some."""
    if error.status >= 500:
        log.error("http route failed", error=str(error), code=error.code)
    headers: tuple[tuple[str, str], ...] = ()
    if error.status in RETRY_AFTER_S:
        headers = (("Retry-After", _retry_after(error)),)
    elif error.status >= 500:
        # What the clients of OpenAI look for: it would go the same way again.
        headers = (("X-Should-Retry", "false"),)
    return answer_refusal(Refusal(error.status, error.code, error.public, headers))
