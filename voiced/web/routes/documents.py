"""Routes that describe the daemon: to programs, and to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quart import Blueprint, Response, request

from voiced.realtime.asyncapi import describe_realtime
from voiced.web.bodies import answer_json
from voiced.web.docs_page import POLICY, docs_page
from voiced.web.openapi import describe, documents

if TYPE_CHECKING:
    from quart import Quart


def document_routes(app: Quart) -> Blueprint:
    """Return the routes that describe all routes of `app`, and the Realtime socket."""
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    @documents("This description", tag="operations", answers={200: dict[str, Any]})
    async def openapi() -> Response:
        """All HTTP paths, as an OpenAPI 3.1 document."""
        return answer_json(describe(app))

    @routes.get("/asyncapi.json")
    @documents("The Realtime socket", tag="realtime", answers={200: dict[str, Any]})
    async def asyncapi() -> Response:
        """The events of the WebSocket at `/v1/realtime`, as an AsyncAPI 3.0 document."""
        return answer_json(describe_realtime(request.host, secure=request.scheme == "https"))

    @routes.get("/docs")
    @documents("All HTTP paths, to read", tag="operations", answers={200: {"text/html": str}})
    async def docs() -> Response:
        response = Response(docs_page(describe(app)), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return routes
