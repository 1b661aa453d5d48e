"""`/asyncapi.json`: the Realtime socket as an AsyncAPI 3 document, made from the structs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from voiced import __version__
from voiced.realtime.insight_schemas import said_schemas, told_schemas
from voiced.realtime.schemas import TEMPLATE, client_schemas, server_schemas
from voiced.telemetry.messages import TYPES

if TYPE_CHECKING:
    from voiced.realtime.schemas import Schemas

JSON_SCHEMA = "application/schema+json;version=draft-07"
QUERY = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "description": "Any name; the daemon's own engines answer."},
        "intent": {
            "type": "string",
            "enum": ["transcription"],
            "description": "A session that transcribes and does not answer.",
        },
    },
}
WATCH_QUERY = {
    "type": "object",
    "required": ["intent"],
    "properties": {
        "intent": {"type": "string", "const": "insights"},
        "types": {
            "type": "string",
            "description": "The types of messages that are wanted, with commas between them: "
            f"{', '.join(TYPES)}. All where it is left out.",
        },
    },
}


def encode_realtime(host: str, *, secure: bool) -> bytes:
    """`describe_realtime` as JSON. All but the address is made once, by the first call: that
    takes long enough to be heard by whoever talks to the daemon."""
    return msgspec.json.encode({**encoded_parts(), "servers": servers_of(host, secure=secure)})


@cache
def encoded_parts() -> dict[str, msgspec.Raw]:
    """The document, its parts as JSON."""
    return {key: msgspec.Raw(msgspec.json.encode(v)) for key, v in describe_realtime().items()}


def servers_of(host: str, *, secure: bool) -> dict[str, Any]:
    """Where the socket is."""
    return {"voiced": {"host": host, "protocol": "wss" if secure else "ws"}}


def describe_realtime(host: str = "localhost:8080", *, secure: bool = False) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the socket at `host`, an address with its port."""
    sides = {
        "client": client_schemas(),
        "server": server_schemas(),
        "observer": said_schemas(),
        "insights": told_schemas(),
    }
    messages = {
        f"{side}.{name}": message(side, name, schema)
        for side, schemas in sides.items()
        for name, schema in schemas.events.items()
    }
    objects: dict[str, Any] = {}
    for side, schemas in sides.items():
        objects |= components(side, schemas)

    def of(*wanted: str) -> dict[str, Any]:
        """The messages of some sides, as a channel has them."""
        return {
            name: {"$ref": f"#/components/messages/{name}"}
            for name in messages
            if name.partition(".")[0] in wanted
        }

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "voiced",
            "version": __version__,
            "description": "The OpenAI Realtime protocol as voiced speaks it. Its HTTP side is "
            "described by /openapi.json, the differences from OpenAI by docs/realtime.md. The "
            "channel `insights` is voiced's own.",
            "license": {"name": "GPL-3.0-or-later"},
        },
        "defaultContentType": "application/json",
        "servers": servers_of(host, secure=secure),
        "channels": {
            "realtime": {
                "address": "/v1/realtime",
                "description": "One conversation. The server speaks first, with session.created.",
                "messages": of("client", "server"),
                "bindings": {"ws": {"method": "GET", "query": QUERY}},
            },
            "insights": {
                "address": "/v1/realtime",
                "description": "What the daemon does, for whoever watches it, with "
                "`intent=insights`. The server speaks first, with metadata. See docs/insights.md.",
                "messages": of("observer", "insights"),
                "bindings": {"ws": {"method": "GET", "query": WATCH_QUERY}},
            },
        },
        "operations": {
            "hear": operation("receive", "What clients send.", "client", sides["client"]),
            "tell": operation("send", "What the daemon sends.", "server", sides["server"]),
            "listen": operation("receive", "What observers send.", "observer", sides["observer"]),
            "show": operation("send", "What observers are sent.", "insights", sides["insights"]),
        },
        "components": {"messages": messages, "schemas": objects},
    }


def message(side: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One kind of event as a message object."""
    found = {
        "name": name,
        "title": name,
        "contentType": "application/json",
        "payload": {
            "schemaFormat": JSON_SCHEMA,
            "schema": {"$ref": TEMPLATE.format(name=f"{side}.{name}")},
        },
    }
    if "description" in schema:
        found["summary"] = schema["description"].partition("\n\n")[0].replace("\n", " ")
    return found


def operation(action: str, summary: str, side: str, schemas: Schemas) -> dict[str, Any]:
    """One direction of a channel."""
    channel = f"#/channels/{'insights' if side in ('observer', 'insights') else 'realtime'}"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{side}.{name}"} for name in schemas.events],
    }


def components(side: str, schemas: Schemas) -> dict[str, Any]:
    """All schemas of one direction, under names of that direction."""
    return {
        f"{side}.{name}": localised(side, schema)
        for name, schema in (*schemas.events.items(), *schemas.objects.items())
    }


def localised(side: str, schema: Any) -> Any:  # noqa: ANN401 - JSON
    """References within that direction. AsyncAPI's own `discriminator` is another thing than
    msgspec's; the types that it tells apart have an `enum` of one value each for that."""
    if isinstance(schema, dict):
        return {
            key: f"#/components/schemas/{side}.{value.rpartition('/')[2]}"
            if key == "$ref"
            else localised(side, value)
            for key, value in schema.items()
            if not (key == "discriminator" and isinstance(value, dict) and "mapping" in value)
        }
    return [localised(side, value) for value in schema] if isinstance(schema, list) else schema
