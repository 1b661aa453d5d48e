"""Routes that describe the others: `/openapi.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, Response

from voiced.web.bodies import answer_json
from voiced.web.openapi import describe, documents

if TYPE_CHECKING:
    from quart import Quart


def document_routes(app: Quart) -> Blueprint:
    """Return the routes that describe all routes of `app`."""
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    @documents("This description", tag="operations", answers={200: dict[str, Any]})
    async def openapi() -> Response:
        return answer_json(describe(app))

    return routes
