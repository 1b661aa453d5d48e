"""Client events off the wire: what is understood, and what is said of what is not."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.conversation import inputs as inp
from voiced.conversation.given import NewCall, NewMessage, NewOutput
from voiced.conversation.items import InputText
from voiced.realtime.wire import (
    MOST_CONTROL_CHARS,
    NAMES,
    Append,
    Commit,
    Garbage,
    decode,
)


def refused(event: Any) -> inp.RefuseEvent:  # noqa: ANN401 - anything that JSON can say
    found = decode(event if isinstance(event, str | bytes) else json.dumps(event))
    assert isinstance(found, inp.RefuseEvent)
    return found


def made(kind: str, **item: object) -> dict[str, Any]:
    """`conversation.item.create` with an item of that type."""
    return {"type": "conversation.item.create", "item": {"type": kind, **item}}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("nonsense", "invalid_json"),
        ('{"type": "response.create"} trailing', "invalid_json"),
        ("[" * 100_000, "invalid_json"),
        (b'{"type":"response.create"}', "invalid_event"),
        ("[]", "invalid_event"),
        ('"response.create"', "invalid_event"),
        ("null", "invalid_event"),
    ],
)
def test_check_47_what_is_no_event_is_garbage(message: str | bytes, code: str) -> None:
    found = refused(message)
    assert isinstance(found, Garbage)
    assert found.code == code


def test_check_47_an_event_without_a_type() -> None:
    for event in ({}, {"event_id": "e1"}, {"type": None}, {"type": 5}):
        found = refused(event)
        assert not isinstance(found, Garbage)
        assert (found.code, found.param) == ("invalid_event", "type")
    assert refused({"event_id": "e1"}).event_id == "e1"


def test_check_47_an_unknown_type_is_told_the_known_ones() -> None:
    found = refused({"type": "response.creat", "event_id": "e1"})
    assert (found.code, found.param, found.event_id) == ("invalid_value", "type", "e1")
    assert all(name in found.message for name in NAMES)
    assert len(refused({"type": "x" * 100_000}).message) < 1000


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "response.cancel", "nonsense": 1}, "unknown_parameter", "nonsense"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": 5}, "invalid_value", "session"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": 5}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "@@@@"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AAA"}, "invalid_value", "audio"),
        ({"type": "conversation.item.create"}, "missing_required_parameter", "item"),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user"}},
            "missing_required_parameter",
            "item.content",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "a"}, {"type": "input_text"}],
                },
            },
            "missing_required_parameter",
            "item.content[1].text",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "robot", "content": []},
            },
            "invalid_value",
            "item.role",
        ),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "i",
                "content_index": 0,
                "audio_end_ms": -1,
            },
            "integer_below_min_value",
            "audio_end_ms",
        ),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "i",
                "content_index": 0,
                "audio_end_ms": 1.5,
            },
            "invalid_value",
            "audio_end_ms",
        ),
        (made("function_call", name="f", arguments="{}", call_id="no good"),
         "invalid_value", "item.call_id"),
        (made("function_call", arguments="{}"), "missing_required_parameter", "item.name"),
        (made("function_call_output", call_id="c"), "missing_required_parameter", "item.output"),
        (made("function_call_output", call_id="c", output="", name="f"),
         "unknown_parameter", "item.name"),
        (made("mcp_approval_response", approve=True), "invalid_value", "item.type"),
        (made("message", role="user", content=[{"type": "input_text", "text": ""}, {"text": ""}]),
         "missing_required_parameter", "item.content[1].type"),
        ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
        ({"type": "response.create", "response": []}, "invalid_value", "response"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named_by_its_dotted_path(
    event: dict[str, Any], code: str, param: str
) -> None:
    found = refused({**event, "event_id": "mine"})
    assert (found.code, found.param, found.event_id) == (code, param, "mine")
    assert found.message


def test_calls_and_outputs_are_items_like_others() -> None:
    call = made("function_call", name="f", arguments="{}", status="in_progress", id="mine")
    assert decode(json.dumps(call)) == inp.CreateItem(
        item=NewCall(name="f", arguments="{}", status="in_progress", id="mine")
    )
    output = made("function_call_output", call_id="a-B_1", output="", object="realtime.item")
    assert decode(json.dumps(output)) == inp.CreateItem(
        item=NewOutput(call_id="a-B_1", output="", object="realtime.item")
    )


def test_an_event_id_may_have_512_characters() -> None:
    assert not isinstance(
        decode(json.dumps({"type": "response.cancel", "event_id": "x" * 512})), inp.RefuseEvent
    )
    found = refused({"type": "response.cancel", "event_id": "x" * 513})
    assert found.param == "event_id"
    assert found.event_id is None


def test_audio_comes_out_as_bytes() -> None:
    pcm = bytes(range(256))
    text = json.dumps(
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}
    )
    assert decode(text) == Append(audio=pcm)


def test_the_events_of_the_buffer_and_of_the_core() -> None:
    assert decode('{"type":"input_audio_buffer.commit","event_id":"c"}') == Commit(event_id="c")
    assert decode('{"type":"input_audio_buffer.clear"}') == inp.ClearAudio()
    assert decode('{"type":"response.create","response":null}') == inp.CreateResponse(overrides={})
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    found = decode(
        json.dumps({"type": "conversation.item.create", "previous_item_id": "root", "item": item})
    )
    assert found == inp.CreateItem(
        item=NewMessage(role="user", content=(InputText("hi"),)), previous_item_id="root"
    )


def test_only_audio_may_be_long() -> None:
    audio = base64.b64encode(bytes(15 << 20)).decode()
    event = decode(f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}')
    assert isinstance(event, Append)
    assert len(event.audio) == 15 << 20
    filler = "x" * MOST_CONTROL_CHARS
    update = {"type": "session.update", "session": {"instructions": filler}}
    found = refused(update)
    assert (found.code, found.event_id) == ("string_above_max_length", None)
    # A client for agents that cannot tell what was refused asks for no response ever again.
    assert refused({**update, "event_id": "mine"}).event_id == "mine"
    assert refused({"event_id": 5, **update}).event_id is None
    found = refused({"type": "input_audio_buffer.append", "audio": "@" * MOST_CONTROL_CHARS})
    assert found.param == "audio"
    assert isinstance(refused('"' + filler), Garbage)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    ["type", "event_id", "session", "audio", "item", "item_id", "response", "audio_end_ms"]
)


@given(
    st.binary()
    | st.text()
    | JSON.map(json.dumps)
    | st.dictionaries(FIELDS, JSON | st.sampled_from(NAMES)).map(json.dumps)
)
def test_no_message_raises(message: str | bytes) -> None:
    found = decode(message)
    if isinstance(found, inp.RefuseEvent):
        assert found.message
        msgspec.json.encode([found.code, found.message, found.param, found.event_id])


@given(st.dictionaries(FIELDS, JSON), st.sampled_from(NAMES))
def test_no_field_of_a_known_event_raises(fields: dict[str, Any], kind: str) -> None:
    decode(json.dumps({**fields, "type": kind}, ensure_ascii=False).replace("\ud800", "?"))
