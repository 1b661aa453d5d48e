"""Parameters behind the path of the current request, read as their documentation has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from quart import request

from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from voiced.web.openapi import Query


def read_query(name: str, query: Query) -> Any:  # noqa: ANN401 - of the query's own type
    """The parameter `name`, or its default where the address has none.

    Raises `Refused` with 400 for a value of another type, and where it is there twice.
    """
    given = request.args.getlist(name)
    if not given:
        return query.default
    try:
        if len(given) > 1:
            raise msgspec.ValidationError("Given more than once")
        return msgspec.convert(given[0], query.type, strict=False)
    except msgspec.ValidationError as exc:
        why = str(exc).partition(" - at ")[0]
        message = f"Invalid value for '{name}': {why[:1].lower()}{why[1:]}."
        raise Refused(Refusal(400, "invalid_value", message, param=name)) from exc
