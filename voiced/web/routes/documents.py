"""Routes that describe the daemon: to programs, and to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from quart import Blueprint, Response, request

from voiced.realtime.asyncapi import encode_realtime, encoded_parts
from voiced.web.docs_page import POLICY, docs_page
from voiced.web.openapi import JSON, describe, documents

if TYPE_CHECKING:
    from quart import Quart


def add_documents(app: Quart) -> None:
    """Add the routes that describe all routes of `app`, their own included, and the socket.

    What they answer is made here and now, before anybody talks to the daemon: it takes a tenth
    of a second, in which no audio would move.
    """
    routes = Blueprint("documents", __name__)

    @routes.get("/openapi.json")
    @documents("This description", tag="operations", answers={200: dict[str, Any]})
    async def openapi() -> Response:
        """All HTTP paths, as an OpenAPI 3.1 document."""
        return Response(described, content_type=JSON)

    @routes.get("/asyncapi.json")
    @documents("The Realtime socket", tag="realtime", answers={200: dict[str, Any]})
    async def asyncapi() -> Response:
        """The events of the WebSocket at `/v1/realtime`, as an AsyncAPI 3.0 document."""
        body = encode_realtime(request.host, secure=request.scheme == "https")
        return Response(body, content_type=JSON)

    @routes.get("/docs")
    @documents("All HTTP paths, to read", tag="operations", answers={200: {"text/html": str}})
    async def docs() -> Response:
        response = Response(page, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = POLICY
        return response

    app.register_blueprint(routes)
    document = describe(app)
    described = msgspec.json.encode(document)
    page = docs_page(document).encode()
    encoded_parts()
