"""JSON bodies of HTTP requests and answers: read strictly, written the same way everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec
from quart import Response, request

from voiced.conversation.config import rejected_by
from voiced.web.refusal import Refusal, Refused, refusal_body

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


async def read_json(kind: type[T]) -> T:
    """The body of the current request as `kind`.

    Raises `Refused` with 400 where it is no JSON or does not fit: the error's `param` is the
    dotted path of the field. The declared media type is not looked at, as many clients leave it
    out. Raises RequestEntityTooLarge beyond the limit of the route.
    """
    body = await request.get_data()
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as exc:
        why = rejected_by(str(exc), "")
        raise Refused(Refusal(400, why.code, why.message, param=why.param or None)) from exc
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        raise Refused(Refusal(400, "invalid_json", "The body is not valid JSON.")) from exc


def answer_json(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer with `value` as its JSON body; no cache keeps it."""
    response = Response(msgspec.json.encode(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def answer_refusal(refusal: Refusal) -> Response:
    """The answer for `refusal`, in the error shape of the API."""
    response = Response(refusal_body(refusal), refusal.status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers.extend(refusal.headers)
    return response
