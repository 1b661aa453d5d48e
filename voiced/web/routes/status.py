"""Routes about the daemon itself: what it is, whether it lives, is ready, and what it bears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from quart import Blueprint, Response

from voiced.web.limitations import list_limitations
from voiced.web.refusal import Refusal, refusal_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.settings import Settings

WELCOME = """\
This is voiced, a daemon for spoken conversation.

WebSocket /v1/realtime   converse, in the OpenAI Realtime protocol
GET /health              is it alive?
GET /ready               is it ready to converse?
GET /api/limitations     what it bears
"""


class StatusSource(Protocol):
    """What the daemon tells about itself. The values must be fit for JSON, and cheap to get."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    def health(self) -> Mapping[str, Any]:
        """Facts about the living process, such as version and uptime; needs no token to see.

        `stale` names the parts that show no sign of life.
        """
        ...

    def ready(self) -> tuple[bool, Mapping[str, Any]]:
        """Whether conversations can be held, and the state of each engine with a plain reason."""
        ...


def status_routes(status: StatusSource) -> Blueprint:
    """Return the routes that answer from `status`."""
    routes = Blueprint("status", __name__)

    @routes.get("/")
    async def welcome() -> Response:
        return Response(WELCOME, content_type="text/plain; charset=utf-8")

    @routes.get("/health")
    async def health() -> Response:
        facts = status.health()
        return _json({"status": "degraded" if facts.get("stale") else "ok", **facts})

    @routes.get("/ready")
    async def ready() -> Response:
        is_ready, details = status.ready()
        return _json({"ready": is_ready, **details}, status=200 if is_ready else 503)

    @routes.get("/api/limitations")
    async def limitations() -> Response:
        return _json({"limits": list_limitations(status.settings)})

    @routes.get("/v1/realtime")
    async def realtime() -> Response:
        message = "This path is a WebSocket; upgrade with the first request of a connection."
        refusal = Refusal(426, "upgrade_required", message)
        response = Response(refusal_body(refusal), status=426, content_type="application/json")
        response.headers["Upgrade"] = "websocket"
        return response

    return routes


def _json(body: Mapping[str, Any], *, status: int = 200) -> Response:
    response = Response(msgspec.json.encode(body), status=status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
