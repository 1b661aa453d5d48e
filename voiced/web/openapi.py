"""`/openapi.json`: what each route says of itself, and the schemas of the structs it uses.

A route file writes `@documents(...)` under its `@routes.get(...)`. The document is made from the
application's own table of routes, so it cannot name one that does not exist; a test fails for a
route that is not in it, and schemathesis holds the daemon to every word.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from voiced import __version__
from voiced.web.refusal import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quart import Quart
    from werkzeug.routing import Rule

F = TypeVar("F", bound="Callable[..., Any]")

ATTRIBUTE = "voiced_documentation"
JSON = "application/json"
IMPLIED_METHODS = frozenset({"HEAD", "OPTIONS"})
"""Answered by the framework for each route."""

VARIABLE = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
"""How werkzeug writes a variable in a path, perhaps with a converter in front."""


class Binary(Struct, frozen=True):
    """Marks a body of bytes that no schema describes, such as audio."""


class OneOf(Struct, frozen=True):
    """Marks a body of one of several types that msgspec cannot tell apart by a tag."""

    kinds: tuple[Any, ...]


class EventStream(Struct, frozen=True):
    """Marks a body of server-sent events.

    `event` is the type of the JSON in their `data:`, `done` a word that ends the stream.
    """

    event: Any
    done: str | None = None


class Answer(Struct, frozen=True):
    """One answer of a route: what it means, and the type of its body by media type."""

    description: str
    content: dict[str, Any]


class Query(Struct, frozen=True):
    """A parameter in the query of a route's address: its type, what it means, and without it."""

    type: Any
    description: str
    default: Any


class Documentation(Struct, frozen=True, kw_only=True):
    """What `documents` was told of a route; bodies are types by media type."""

    summary: str
    tag: str
    description: str
    request: dict[str, Any]
    answers: dict[int, Answer]
    path: dict[str, str]
    query: dict[str, Query]
    public: bool


def documents(
    summary: str,
    *,
    tag: str,
    request: Any = None,  # noqa: ANN401 - a type; unions of types have no common one
    answers: Mapping[int, Any],
    path: Mapping[str, str] | None = None,
    query: Mapping[str, Query] | None = None,
    public: bool = False,
) -> Callable[[F], F]:
    """Say what a route takes and gives; the docstring of its function becomes the description.

    `request` is the type of the JSON body, or a dict of types by media type (a struct with
    `multipart/form-data` for a form: mark a file as `voiced.web.openapi.UPLOAD`). `answers` has
    by status an `Answer`, or a type as the JSON body; leave out errors, which all routes share.
    `path` describes the variables in the path, `query` those behind it (`voiced.web.query` reads
    them). `public` routes need no token.
    """

    def mark(function: F) -> F:
        documentation = Documentation(
            summary=summary,
            tag=tag,
            description=inspect.getdoc(function) or "",
            request={} if request is None else by_media_type(request),
            answers={
                status: body if isinstance(body, Answer) else Answer(summary, by_media_type(body))
                for status, body in answers.items()
            },
            path=dict(path or {}),
            query=dict(query or {}),
            public=public,
        )
        vars(function)[ATTRIBUTE] = documentation
        return function

    return mark


def by_media_type(body: Any) -> dict[str, Any]:  # noqa: ANN401 - a type or a dict of types
    """Types by media type; a lone type is JSON."""
    return dict(body) if isinstance(body, dict) else {JSON: body}


UPLOAD = msgspec.Meta(
    description="The file itself.",
    extra_json_schema={"format": "binary"},
)
"""In a form: `Annotated[bytes, UPLOAD]` is a file."""


class Undocumented(Exception):
    """A route has no `@documents`; a mistake of ours."""


def describe(app: Quart) -> dict[str, Any]:
    """The OpenAPI 3.1 document of all routes of `app`. Raises `Undocumented` naming one."""
    routes = [
        (rule, method, documentation_of(app, rule))
        for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule)
        for method in sorted((rule.methods or set()) - IMPLIED_METHODS)
    ]
    types: list[Any] = [ApiError]
    for _, _, documentation in routes:
        types += (kind for kind in bodies(documentation))
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    schema_of = dict(zip(map(repr, types), map(tidy, schemas), strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, documentation in routes:
        path = paths.setdefault(path_of(rule), {})
        path[method.lower()] = operation(rule, documentation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "voiced",
            "version": __version__,
            "description": "The HTTP side of voiced, an offline voice daemon, in the shapes of the "
            "OpenAI API. Its WebSocket is described by /asyncapi.json.",
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {name: tidy(schema) for name, schema in components.items()},
            "responses": {
                "Error": {
                    "description": "The request was refused or failed, and why.",
                    "content": {JSON: {"schema": schema_of[repr(ApiError)]}},
                }
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The daemon's token. Not needed on the same machine, unless "
                    "auth.token_on_loopback says so.",
                }
            },
        },
    }


def documentation_of(app: Quart, rule: Rule) -> Documentation:
    """What `documents` was told of the route behind `rule`."""
    found = getattr(app.view_functions[rule.endpoint], ATTRIBUTE, None)
    if not isinstance(found, Documentation):
        raise Undocumented(f"{rule.rule} has no @documents")
    return found


def bodies(documentation: Documentation) -> Iterator[Any]:
    """The types of all bodies that have a schema."""
    contents = [documentation.request, *(a.content for a in documentation.answers.values())]
    for content in contents:
        for kind in content.values():
            if isinstance(kind, EventStream):
                yield kind.event
            elif isinstance(kind, OneOf):
                yield from kind.kinds
            elif kind is not Binary:
                yield kind


def path_of(rule: Rule) -> str:
    """The path with its variables in braces."""
    return VARIABLE.sub(r"{\1}", rule.rule)


def operation(
    rule: Rule, documentation: Documentation, schema_of: Mapping[str, Any]
) -> dict[str, Any]:
    """One operation object."""

    def content(bodies: Mapping[str, Any]) -> dict[str, Any]:
        return {media: media_type(kind, schema_of) for media, kind in bodies.items()}

    found: dict[str, Any] = {
        "operationId": rule.endpoint.rpartition(".")[2],
        "summary": documentation.summary,
        "tags": [documentation.tag],
    }
    if documentation.description:
        found["description"] = documentation.description
    if parameters := [*path_parameters(rule, documentation), *query_parameters(documentation)]:
        found["parameters"] = parameters
    if documentation.request:
        found["requestBody"] = {"required": True, "content": content(documentation.request)}
    found["responses"] = {
        **{
            str(status): {"description": answer.description, "content": content(answer.content)}
            for status, answer in documentation.answers.items()
        },
        "default": {"$ref": "#/components/responses/Error"},
    }
    if documentation.public:
        found["security"] = []
    return found


def path_parameters(rule: Rule, documentation: Documentation) -> Iterator[dict[str, Any]]:
    """The variables in a path."""
    for name in sorted(rule.arguments):
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": documentation.path.get(name, ""),
            "schema": {"type": "string"},
        }


def query_parameters(documentation: Documentation) -> Iterator[dict[str, Any]]:
    """The variables behind a path."""
    for name, query in documentation.query.items():
        yield {
            "name": name,
            "in": "query",
            "description": query.description,
            "schema": msgspec.json.schema(query.type),
        }


def media_type(kind: Any, schema_of: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a type
    """One media type object. The schema of a stream is that of each event, as OpenAPI 3.2 has it;
    the last one of a stream that breaks off is an error."""
    if kind is Binary:
        return {}
    if isinstance(kind, EventStream):
        either = {"anyOf": [schema_of[repr(kind.event)], schema_of[repr(ApiError)]]}
        data: dict[str, Any] = {"type": "string", "contentMediaType": JSON, "contentSchema": either}
        if kind.done is not None:
            data = {"anyOf": [{"const": kind.done}, data]}
        event = {"type": "object", "properties": {"data": data}, "required": ["data"]}
        return {"schema": event}
    if isinstance(kind, OneOf):
        return {"schema": {"anyOf": [schema_of[repr(one)] for one in kind.kinds]}}
    return {"schema": schema_of[repr(kind)]}


def tidy(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop the base64 that msgspec assumes for bytes where they come as they are."""
    if isinstance(schema, dict):
        return {
            key: tidy(value)
            for key, value in schema.items()
            if not (key == "contentEncoding" and "format" in schema)
        }
    return [tidy(value) for value in schema] if isinstance(schema, list) else schema
