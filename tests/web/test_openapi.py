"""The description of the HTTP side: whole, valid, and of routes that exist."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from msgspec import UNSET, Struct, UnsetType, field
from openapi_spec_validator import validate
from quart import Blueprint, Quart

from tests.web.harness import ask, get, make_app, running
from voiced.web.openapi import (
    IMPLIED_METHODS,
    UPLOAD,
    Answer,
    Binary,
    EventStream,
    Undocumented,
    describe,
    documents,
)


async def test_the_daemon_serves_a_valid_description_of_every_route() -> None:
    app = make_app()
    async with running(app=app) as (_, port):
        response = await ask(port, get("/openapi.json"))
    document = json.loads(response.partition(b"\r\n\r\n")[2])
    validate(document)
    described = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item
    }
    served = {
        (rule.rule.replace("<path:", "{").replace("<", "{").replace(">", "}"), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - IMPLIED_METHODS
    }
    assert described == served
    assert {("/v1/models", "GET"), ("/health", "GET"), ("/ready", "GET")} <= described


def test_schemas_have_names_of_their_own_and_no_places_in_the_code() -> None:
    names = set(describe(make_app())["components"]["schemas"])
    assert "TranscriptionAnswer" in names
    assert [name for name in names if "." in name] == []


def test_a_route_without_a_description_is_named() -> None:
    app = Quart("test", static_folder=None)

    @app.get("/secret")
    async def secret() -> str:
        return ""

    with pytest.raises(Undocumented, match="/secret"):
        describe(app)


class Form(Struct, frozen=True):
    """What somebody sends."""

    file: Annotated[bytes, UPLOAD]
    words: list[str] = field(name="words[]", default_factory=list)
    style: Literal["plain", "fancy"] | UnsetType = UNSET


class Progress(Struct, frozen=True):
    """How far it is."""

    done: int


def described(answers: dict[int, Any], request: object = None) -> Any:  # noqa: ANN401  # JSON
    """The one operation of an application, and the whole document."""
    routes = Blueprint("routes", __name__)

    @routes.post("/v1/<path:name>")
    @documents("Do it", tag="doing", request=request, answers=answers, path={"name": "Whose."})
    async def do(name: str) -> str:
        """Does it well."""
        return ""

    app = Quart("test", static_folder=None)
    app.register_blueprint(routes)
    document = describe(app)
    validate(document)
    return document["paths"]["/v1/{name}"]["post"], document


def test_a_form_with_a_file_is_described_by_its_struct() -> None:
    operation, document = described({200: Progress}, {"multipart/form-data": Form})
    assert operation["requestBody"]["content"] == {
        "multipart/form-data": {"schema": {"$ref": "#/components/schemas/Form"}}
    }
    form = document["components"]["schemas"]["Form"]
    assert form["required"] == ["file"]
    assert form["properties"]["file"] == {
        "type": "string",
        "format": "binary",
        "description": "The file itself.",
    }
    assert form["properties"]["words[]"]["type"] == "array"
    assert operation["parameters"][0]["name"] == "name"
    assert operation["description"] == "Does it well."


def test_answers_of_several_kinds_are_described() -> None:
    operation, document = described(
        {
            200: Answer("Sound, or how far it is.", {"audio/wav": Binary, "text/plain": str}),
            202: {"text/event-stream": EventStream(Progress)},
        }
    )
    answers = operation["responses"]
    assert answers["200"]["content"] == {
        "audio/wav": {},
        "text/plain": {"schema": {"type": "string"}},
    }
    event = answers["202"]["content"]["text/event-stream"]["schema"]
    assert event["properties"]["data"]["contentSchema"]["anyOf"] == [
        {"$ref": "#/components/schemas/Progress"},
        {"$ref": "#/components/schemas/ApiError"},
    ]
    error = document["components"]["responses"]["Error"]["content"]["application/json"]
    assert error == {"schema": {"$ref": "#/components/schemas/ApiError"}}
    assert answers["default"] == {"$ref": "#/components/responses/Error"}
