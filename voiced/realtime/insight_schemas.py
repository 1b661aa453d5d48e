"""JSON schemas of the insights stream, made from the structs that are sent and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from voiced.realtime.schemas import always_there, collect, structs_of
from voiced.telemetry.messages import ClientPing, ClientPong, Message

if TYPE_CHECKING:
    from msgspec import Struct

    from voiced.realtime.schemas import Schemas


def told_schemas() -> Schemas:
    """What observers are sent: every field is there."""
    kinds: list[type[Struct]] = list(get_args(Message))
    schemas = collect(kinds, [])
    required = {kind.__name__: always_there(kind) for kind in structs_of(kinds)}
    for schema in (*schemas.events.values(), *schemas.objects.values()):
        names = required.get(schema["title"], [])
        schema["required"] = [name for name in schema["properties"] if name in names]
    return schemas


def said_schemas() -> Schemas:
    """What observers may send."""
    return collect([ClientPing, ClientPong], [])
