"""The AsyncAPI document: valid by AsyncAPI's own schema, and true of what goes over the socket."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.realtime.live import connected, daemon
from tests.web.harness import ask, get, running
from voiced.realtime.asyncapi import describe_realtime
from voiced.realtime.schemas import server_events
from voiced.realtime.wire import NAMES
from voiced.telemetry.messages import TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
SPEC = CLIENTS / "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"

needs_spec = pytest.mark.skipif(
    not SPEC.is_file(), reason="AsyncAPI's schema is not installed: npm ci in tests/clients"
)


def faults_of(document: object) -> list[str]:
    validator = jsonschema.Draft7Validator(json.loads(SPEC.read_text()))
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]


def references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def schema_for(side: str, name: str) -> dict[str, Any]:
    """A schema that stands by itself."""
    document = describe_realtime()
    found = {"$ref": f"#/components/schemas/{side}.{name}", "components": document["components"]}
    jsonschema.Draft7Validator.check_schema(found)
    return found


@needs_spec
def test_the_document_is_valid() -> None:
    assert faults_of(describe_realtime("pi.local:8443", secure=True)) == []


@needs_spec
@pytest.mark.parametrize(
    "path",
    [
        ("asyncapi",),
        ("channels", "realtime", "address"),
        ("operations", "tell", "action"),
        ("components", "schemas", "client.SessionConfig", "type"),
    ],
)
def test_a_document_that_is_wrong_would_be_found_out(path: tuple[str, ...]) -> None:
    document = copy.deepcopy(describe_realtime())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = 7
    if path[0] == "components":  # of schemas AsyncAPI's own says nothing before they are used
        with pytest.raises(jsonschema.SchemaError):
            jsonschema.Draft7Validator.check_schema(place)
    else:
        assert faults_of(document)


def test_every_reference_leads_somewhere() -> None:
    document = describe_realtime()
    found = set(references(document))
    assert found
    for reference in found:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_every_event_is_in_it_with_its_direction() -> None:
    operations = describe_realtime()["operations"]
    told = {m["$ref"].rpartition("/")[2] for m in operations["tell"]["messages"]}
    heard = {m["$ref"].rpartition("/")[2] for m in operations["hear"]["messages"]}
    assert heard == {f"client.{name}" for name in NAMES}
    assert told == {f"server.{kind.__struct_config__.tag}" for kind in server_events()}
    assert {"server.session.created", "server.error", "server.response.done"} <= told
    shown = {m["$ref"].rpartition("/")[2] for m in operations["show"]["messages"]}
    said = {m["$ref"].rpartition("/")[2] for m in operations["listen"]["messages"]}
    assert shown == {f"insights.{kind}" for kind in TYPES}
    assert said == {"observer.ping", "observer.pong"}


async def test_the_daemon_serves_it_with_its_own_address() -> None:
    async with running() as (_, port):
        response = await ask(port, get("/asyncapi.json"))
    document = json.loads(response.partition(b"\r\n\r\n")[2])
    assert document["servers"]["voiced"] == {"host": "localhost", "protocol": "ws"}
    here = json.loads(json.dumps(describe_realtime()))  # without tuples
    assert document["components"] == here["components"]


async def test_what_the_daemon_says_is_as_it_is_written(tmp_path: Path) -> None:
    with daemon(tmp_path) as running_:
        async with connected(running_.url) as client:
            await client.configure(
                instructions="Be brief.",
                audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
            )
            added = await client.add_text("what time is it")
            await client.type_in("and the date", metadata={"why": "a test"})
            await client.type_in("in writing", output_modalities=["text"])
            await client.append(bytes(48_000))
            await client.send("input_audio_buffer.commit")
            await client.until("conversation.item.input_audio_transcription.completed")
            await client.append(bytes(48_000))
            await client.send("input_audio_buffer.clear")
            await client.send("conversation.item.retrieve", item_id=added["item"]["id"])
            await client.send("conversation.item.delete", item_id=added["item"]["id"])
            await client.send("response.cancel", event_id="mine")
            await client.error()
    kinds = {event["type"] for event in client.events}
    assert len(kinds) >= 20
    for event in client.events:
        jsonschema.validate(event, schema_for("server", event["type"]))


@pytest.mark.parametrize(
    ("event", "fits"),
    [
        ({"type": "session.update", "session": {"type": "realtime"}}, True),
        ({"type": "session.update", "session": {}}, False),
        ({"type": "session.update", "session": {"type": "realtime", "voice": "alloy"}}, False),
        ({"type": "response.create"}, True),
        ({"type": "response.create", "response": {"output_modalities": ["audio", "text"]}}, False),
        ({"type": "input_audio_buffer.append", "audio": "AAAA", "event_id": "e"}, True),
        ({"type": "input_audio_buffer.append"}, False),
        ({"type": "input_audio_buffer.clear", "why": "not"}, False),
    ],
)
def test_what_clients_may_say_is_as_it_is_written(event: dict[str, Any], fits: bool) -> None:
    validator = jsonschema.Draft7Validator(schema_for("client", event["type"]))
    assert validator.is_valid(event) == fits
