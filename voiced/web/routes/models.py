"""`/v1/models`: what is loaded, in the shape of the OpenAI API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, Struct, UnsetType
from quart import Blueprint, Response

from voiced.engines.ports import Kind
from voiced.errors import EngineUnavailable
from voiced.web.bodies import answer_json
from voiced.web.openapi import documents
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voiced.engines.ports import EngineInfo
    from voiced.web.services import Services

ALIAS = "voiced"
"""The name under which the daemon as a whole answers, whatever engines it has."""


class LoadedEngine(Struct, frozen=True, kw_only=True):
    """What is behind a model's name here; no field of the OpenAI API."""

    kind: Kind
    version: str
    model: str


class Model(Struct, frozen=True, kw_only=True):
    """A model that can be named in requests."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "voiced"
    engine: LoadedEngine | UnsetType = UNSET


class ModelList(Struct, frozen=True, kw_only=True):
    """All models that can be named in requests."""

    object: Literal["list"] = "list"
    data: list[Model]


def model_routes(services: Services) -> Blueprint:
    """Return the routes that list the models behind `services`."""
    routes = Blueprint("models", __name__)

    @routes.get("/v1/models")
    @documents("List the models", tag="models", answers={200: ModelList})
    async def models() -> Response:
        """What is loaded: the daemon itself, and the model of each of its engines."""
        return answer_json(ModelList(data=list_models(services)))

    @routes.get("/v1/models/<path:model_id>")
    @documents(
        "One model",
        tag="models",
        answers={200: Model},
        path={"model_id": "The `id` of a model in the list."},
    )
    async def model(model_id: str) -> Response:
        for found in list_models(services):
            if found.id == model_id:
                return answer_json(found)
        raise Refused(
            Refusal(
                404,
                "model_not_found",
                f"The model '{model_id[:64]}' does not exist. GET /v1/models lists those that do.",
                param="model",
            )
        )

    return routes


def list_models(services: Services) -> list[Model]:
    """The daemon's own name, then each engine. An engine that was never ready is not listed."""
    models = {ALIAS: Model(id=ALIAS, created=services.began)}
    for info in loaded(services):
        name = f"{info.kind}.{info.name}" if info.name in models else info.name
        models[name] = Model(
            id=name,
            created=services.began,
            engine=LoadedEngine(
                kind=info.kind,
                version=info.version,
                model=info.model,
            ),
        )
    return list(models.values())


def loaded(services: Services) -> Iterator[EngineInfo]:
    """What the engines declared, of those that have come up."""
    for engine in (services.llm, services.stt, services.tts):
        try:
            yield engine.info
        except EngineUnavailable:
            continue
