"""Routes about the daemon itself: what it is, whether it lives, is ready, and what it bears."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from quart import Blueprint, Response

from voiced.web.bodies import answer_json
from voiced.web.facts import Health, Readiness
from voiced.web.limitations import Limitation, list_limitations
from voiced.web.openapi import JSON, Answer, documents
from voiced.web.refusal import ApiError, Refusal, Refused

if TYPE_CHECKING:
    from voiced.settings import Settings

WELCOME = """\
This is voiced, a daemon for spoken conversation.

WebSocket /v1/realtime         converse, in the OpenAI Realtime protocol
POST /v1/chat/completions      converse in writing
POST /v1/audio/transcriptions  recordings to text
POST /v1/audio/speech          text to speech
POST /v1/jobs                  long work in the background; GET lists it
GET /v1/models                 what is loaded
GET /v1/engines                how each engine, server and tool does
GET /health                    is it alive?
GET /ready                     is it ready to converse?
GET /metrics                   figures for Prometheus
GET /api/limitations           what it bears
GET /docs                      all HTTP paths, to read; GET /openapi.json for programs
GET /asyncapi.json             the events of the WebSocket, for programs
"""


class Limitations(Struct, frozen=True):
    """Every limit in force."""

    limits: list[Limitation]


class StatusSource(Protocol):
    """What the daemon tells about itself. The values must be fit for JSON, and cheap to get."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    def health(self) -> Health:
        """Facts about the living process; needs no token to see."""
        ...

    def ready(self) -> Readiness:
        """Whether conversations can be held, and the state of each engine with a plain reason."""
        ...


def status_routes(status: StatusSource) -> Blueprint:
    """Return the routes that answer from `status`."""
    routes = Blueprint("status", __name__)

    @routes.get("/")
    @documents("What there is", tag="operations", answers={200: {"text/plain": str}})
    async def welcome() -> Response:
        return Response(WELCOME, content_type="text/plain; charset=utf-8")

    @routes.get("/health")
    @documents("Is it alive?", tag="operations", answers={200: Health}, public=True)
    async def health() -> Response:
        return answer_json(status.health())

    @routes.get("/ready")
    @documents(
        "Is it ready to converse?",
        tag="operations",
        answers={
            200: Readiness,
            503: Answer("Not ready; each engine says why.", {JSON: Readiness}),
        },
    )
    async def ready() -> Response:
        readiness = status.ready()
        return answer_json(readiness, status=200 if readiness.ready else 503)

    @routes.get("/api/limitations")
    @documents("What it bears", tag="operations", answers={200: Limitations})
    async def limitations() -> Response:
        return answer_json(Limitations(list_limitations(status.settings)))

    @routes.get("/v1/realtime")
    @documents(
        "Converse, over a WebSocket",
        tag="realtime",
        answers={426: Answer("This is no upgrade to a WebSocket.", {JSON: ApiError})},
    )
    async def realtime() -> Response:
        """The Realtime protocol. Its messages are described by /asyncapi.json."""
        message = "This path is a WebSocket; upgrade with the first request of a connection."
        raise Refused(Refusal(426, "upgrade_required", message, (("Upgrade", "websocket"),)))

    return routes
