"""JSON schemas of everything on the Realtime socket, made from the structs that do the work.

`/asyncapi.json` and `docs/realtime.md` are both made from these. What comes in and what goes out
are kept apart even where they share a struct: a field with a default may be left out by a client,
and is never left out by the daemon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec
from msgspec import UNSET, Struct

from voiced.conversation import events
from voiced.conversation.config import (
    ABOUT_ANSWERS,
    SessionConfig,
    TranscriptionSessionConfig,
)
from voiced.conversation.snapshot import ResponseOverrides
from voiced.realtime import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE = "#/components/schemas/{name}"

SESSIONS = ("SessionConfig", "TranscriptionSessionConfig")

WITHIN = {
    ("session.update", "session"): SESSIONS,
    ("response.create", "response"): ("ResponseOverrides",),
    ("session.created", "session"): SESSIONS,
    ("session.updated", "session"): SESSIONS,
}
"""Fields that events carry as plain objects, to be merged or as they were made: what they hold."""

CONFIGS = (SessionConfig, TranscriptionSessionConfig)

EVENT_ID = {"type": "string", "description": "Unique in the session."}


class Schemas(Struct, frozen=True):
    """The schemas of one direction: of each event by its `type`, and of what they are made of."""

    events: dict[str, dict[str, Any]]
    objects: dict[str, dict[str, Any]]


def client_schemas() -> Schemas:
    """What clients send. A `session` may hold any part of the configuration beside its `type`."""
    schemas = collect(get_args(wire.AnyEvent), [*CONFIGS, ResponseOverrides])
    for name in SESSIONS:
        schemas.objects[name]["required"] = ["type"]
    return schemas


def server_schemas() -> Schemas:
    """What the daemon sends: all that has no way to be left out is there."""
    kinds = list(server_events())
    schemas = collect(kinds, [*CONFIGS])
    required = {kind.__name__: always_there(kind) for kind in structs_of(kinds)}
    for schema in (*schemas.events.values(), *schemas.objects.values()):
        names = required.get(schema["title"], [])
        schema["required"] = [name for name in schema["properties"] if name in names]
        if "silence_duration_ms" in names or "eagerness" in names:
            # Where nobody answers, a turn detection does not speak of answers.
            schema["required"] = [n for n in schema["required"] if n not in ABOUT_ANSWERS]
    for schema in schemas.events.values():
        rest = schema["properties"]
        schema["properties"] = {"type": rest.pop("type"), "event_id": EVENT_ID, **rest}
        schema["required"] = ["type", "event_id", *schema["required"][1:]]
    return schemas


def server_events() -> Iterator[type[Struct]]:
    """Every kind of event that the core can emit; bases of events have no tag of the protocol."""
    for kind in vars(events).values():
        if isinstance(kind, type) and issubclass(kind, events.ServerEvent):
            tag = str(kind.__struct_config__.tag)
            if "." in tag or kind is events.ErrorEvent:
                yield kind


def collect(kinds: Any, more: list[Any]) -> Schemas:  # noqa: ANN401 - types of structs
    """The schemas of the events `kinds` and of all that is in them and in `more`."""
    kinds = list(kinds)
    heads, objects = msgspec.json.schema_components([*kinds, *more], ref_template=TEMPLATE)
    by_type: dict[str, dict[str, Any]] = {}
    for kind, head in zip(kinds, heads, strict=False):
        schema = objects.pop(head["$ref"].removeprefix(TEMPLATE.format(name="")))
        by_type[str(kind.__struct_config__.tag)] = schema
    for (event, field), names in WITHIN.items():
        found = [{"$ref": TEMPLATE.format(name=name)} for name in names if name in objects]
        if event in by_type and found:
            by_type[event]["properties"][field] = {"anyOf": found} if found[1:] else found[0]
    return Schemas(by_type, objects)


def always_there(kind: type[Struct]) -> list[str]:
    """The fields that an encoded `kind` always has."""
    config = kind.__struct_config__
    fields = msgspec.structs.fields(kind)
    names = [
        field.encode_name
        for field in fields
        if field.default is not UNSET and not (config.omit_defaults and not field.required)
    ]
    return names if config.tag is None else [str(config.tag_field), *names]


def structs_of(kinds: list[type[Struct]]) -> Iterator[type[Struct]]:
    """All structs that `kinds` are made of."""
    info = msgspec.inspect.multi_type_info([*kinds, *CONFIGS])
    seen: set[type[Struct]] = set()
    todo: list[Any] = list(info)
    while todo:
        node = todo.pop()
        if isinstance(node, msgspec.inspect.StructType):
            if node.cls in seen:
                continue
            seen.add(node.cls)
            yield node.cls
            todo += [field.type for field in node.fields]
        elif isinstance(node, msgspec.inspect.UnionType):
            todo += node.types
        elif isinstance(node, msgspec.inspect.Metadata):
            todo.append(node.type)
        elif isinstance(node, msgspec.inspect.DictType):
            todo.append(node.value_type)
        elif hasattr(node, "item_type"):
            todo.append(node.item_type)
        elif hasattr(node, "item_types"):
            todo += node.item_types
