"""`/v1/engines`: how each engine, server and tool does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint, Response

from voiced.web.bodies import answer_json
from voiced.web.inspection import EngineFacts, EngineList
from voiced.web.openapi import documents
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from voiced.web.services import Services


def engine_routes(services: Services) -> Blueprint:
    """Return the routes that look at the engines behind `services`."""
    routes = Blueprint("engines", __name__)

    @routes.get("/v1/engines")
    @documents("How the engines do", tag="operations", answers={200: EngineList})
    async def engines() -> Response:
        """Every engine, server and tool: what it is, how it does, and how long its work takes."""
        return answer_json(EngineList(data=await services.inspector.look_closely()))

    @routes.get("/v1/engines/<path:name>")
    @documents(
        "One engine",
        tag="operations",
        answers={200: EngineFacts},
        path={"name": "The `id` of an engine in the list, or its `name` where only one has that."},
    )
    async def engine(name: str) -> Response:
        found = await services.inspector.look_closely()
        for facts in found:
            if facts.id == name:
                return answer_json(facts)
        named = [facts for facts in found if facts.name == name]
        if len(named) == 1:
            return answer_json(named[0])
        many = f"There are several of the name '{name[:64]}'" if named else "There is no such one"
        message = f"{many}. GET /v1/engines lists them by `id`."
        raise Refused(Refusal(404, "engine_not_found", message, param="name"))

    return routes
