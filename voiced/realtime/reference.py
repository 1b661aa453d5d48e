"""`docs/realtime.md`, written from the code: `python -m voiced.realtime.reference`.

The tables are made from the schemas of the structs, so they cannot say what the code does not do;
a test fails where the file is not what this module writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.errors import EngineError
from voiced.realtime.codes import CLOSE_CODES, CONNECT_CODES, ERROR_CODES, FAILURE_CODES
from voiced.realtime.deviations import DEVIATIONS, WITHOUT_EFFECT
from voiced.realtime.schemas import client_schemas, server_schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from voiced.realtime.schemas import Schemas

PAGE = Path(__file__).resolve().parents[2] / "docs" / "realtime.md"

INTRODUCTION = """\
# The Realtime protocol in voiced

`WebSocket /v1/realtime` speaks the [OpenAI Realtime protocol][openai] in its GA shape. This page is
the part of it that voiced speaks, in tables made from the code by
`python -m voiced.realtime.reference`; do not edit it. The same for programs is at `/asyncapi.json`.

What is not here is an unknown event or parameter and gets an `error` event that names it; nothing
of such an event is applied. A field with a star must be there. Every server event has an
`event_id`; a client event may have one, which comes back in the `error` that it causes.

[openai]: https://platform.openai.com/docs/guides/realtime
"""

STAR = "\\*"
"""Marks a field that must be there."""

BOUNDS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "minItems": "length ≥ {}",
    "maxItems": "length ≤ {}",
    "maxProperties": "keys ≤ {}",
    "pattern": "like `{}`",
}


def write_page() -> str:
    """The whole page."""
    client, server = client_schemas(), server_schemas()
    return (
        "\n".join(
            [
                INTRODUCTION,
                "## Client events\n",
                *events_table(client),
                "## Server events\n",
                *events_table(server),
                "## What clients send in them\n",
                *objects_tables("in", client),
                "## What the daemon sends in them\n",
                "Fields with a star are always there.\n",
                *objects_tables("out", server),
                *codes_tables(),
                "## Accepted without effect\n",
                *table(("in", "what", "why"), WITHOUT_EFFECT),
                "## Different from the real service\n",
                *table(
                    ("about", "OpenAI", "voiced", "why"),
                    ((d.about, d.openai, d.voiced, d.why) for d in DEVIATIONS),
                ),
            ]
        ).rstrip("\n")
        + "\n"
    )


def events_table(schemas: Schemas) -> Iterator[str]:
    """One row for each event."""
    side = "in" if "session.update" in schemas.events else "out"
    rows = (
        (f"`{name}`", fields_of(schema, side), first_line(schema))
        for name, schema in sorted(schemas.events.items())
    )
    yield from table(("event", "fields", "what it is"), rows)


def fields_of(schema: Mapping[str, Any], side: str) -> str:
    """The fields of an event, in one cell."""
    required = schema.get("required", ())
    return "<br>".join(
        f"`{name}`{STAR if name in required else ''} {type_of(field, side)}"
        for name, field in schema["properties"].items()
        if name not in {"type", "event_id"}
    )


def objects_tables(side: str, schemas: Schemas) -> Iterator[str]:
    """A table of fields for each object."""
    for name, schema in schemas.objects.items():
        yield f'<a id="{anchor(side, name)}"></a>\n'
        yield f"### {name}\n"
        if text := first_line(schema):
            yield f"{text}\n"
        required = schema.get("required", ())
        rows = (
            (f"`{key}`{STAR if key in required else ''}", type_of(field, side), default_of(field))
            for key, field in schema["properties"].items()
        )
        yield from table(("field", "type", "default"), rows)


def codes_tables() -> Iterator[str]:
    """The tables of codes."""
    yield "## Error codes\n"
    yield "In `error` events; the connection stays open unless it says otherwise.\n"
    yield from codes_table(ERROR_CODES)
    yield "When connecting:\n"
    yield from codes_table(CONNECT_CODES)
    yield "In `response.done` with the status `failed`:\n"
    yield from codes_table(FAILURE_CODES)
    yield "The same, and in `conversation.item.input_audio_transcription.failed`, from engines:\n"
    yield from codes_table(dict(engine_codes()))
    yield "## Close codes\n"
    yield from table(
        ("code", "meaning"), ((f"`{code}`", text) for code, text in CLOSE_CODES.items())
    )


def codes_table(codes: Mapping[str, str]) -> Iterator[str]:
    """A table of codes and what they mean."""
    yield from table(("code", "meaning"), ((f"`{code}`", codes[code]) for code in sorted(codes)))


def engine_codes() -> Iterator[tuple[str, str]]:
    """The codes of all errors of engines, with what their classes say."""
    todo: list[type[EngineError]] = [EngineError]
    while todo:
        kind = todo.pop()
        todo += kind.__subclasses__()
        yield kind.code, " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def type_of(schema: Mapping[str, Any], side: str) -> str:
    """The type of a field in words, with its bounds and links to its objects."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{anchor(side, name)})"
    if "anyOf" in schema:
        return " or ".join(type_of(option, side) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        word = f"list of {type_of(schema.get('items', {}), side)}"
    elif kind == "string" and schema.get("contentEncoding") == "base64":
        word = "base64"
    else:
        word = str(kind or "anything")
    bounds = [text.format(schema[key]) for key, text in BOUNDS.items() if key in schema]
    return f"{word}, {', '.join(bounds)}" if bounds else word


def default_of(schema: Mapping[str, Any]) -> str:
    """The default of a field; empty where there is none."""
    if "default" not in schema:
        return ""
    text = json.dumps(schema["default"], ensure_ascii=False)
    return "" if len(text) > 80 else f"`{text}`"


def first_line(schema: Mapping[str, Any]) -> str:
    """The first paragraph of what a struct says of itself."""
    text = str(schema.get("description", "")).partition("\n\n")[0]
    return " ".join(text.split())


def anchor(side: str, name: str) -> str:
    """Where the table of an object is."""
    return f"{side}-{name.lower()}"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """A table, and an empty line."""
    yield row_of(head)
    yield row_of(("---",) * len(head))
    for row in rows:
        yield row_of(tuple(cell.replace("|", "\\|") for cell in row))
    yield ""


def row_of(cells: tuple[str, ...]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(write_page())
