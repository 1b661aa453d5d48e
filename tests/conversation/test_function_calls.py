"""Functions of the client's: called, answered, and told to the model again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conversation.talk import Talk, audio, typed
from voiced.conversation import inputs as inp
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import StoreItem, TellLimits
from voiced.conversation.given import MOST_TEXT, NewCall, NewMessage, NewOutput
from voiced.conversation.items import FunctionCall, FunctionCallOutput, InputText, OutputText
from voiced.conversation.tool_rounds import PENDING
from voiced.conversation.tooling import ChosenFunction, FunctionTool

DOOR = {
    "type": "function",
    "name": "open_door",
    "description": "Opens a door.",
    "parameters": {"type": "object", "properties": {"door": {"type": "string"}}},
}
LAMP = {"type": "function", "name": "set_light"}
CALL_OPENING = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
]
CALL_CLOSING = [
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def configure(**session: object) -> inp.UpdateSession:
    return inp.UpdateSession(session={"type": "realtime", **session})


def with_tools(*tools: dict[str, Any], detection: ServerVad | None = None) -> Talk:
    talk = Talk(detection=detection)
    talk.take(configure(tools=list(tools or (DOOR, LAMP))))
    return talk


def call(response_id: str, name: str = "open_door", **fields: str) -> inp.ReplyCall:
    given = {"call_id": f"call_{name}", "arguments": '{"door": "front"}', **fields}
    return inp.ReplyCall(response_id=response_id, name=name, **given)


def ended(response_id: str, **fields: Any) -> inp.ReplyEnded:  # noqa: ANN401 - of ReplyEnded
    return inp.ReplyEnded(response_id=response_id, finish="stop", **fields)


def output(text: str, call_id: str = "call_open_door", **fields: str | None) -> inp.CreateItem:
    return inp.CreateItem(item=NewOutput(call_id=call_id, output=text), **fields)


def called(talk: Talk, *names: str) -> None:
    """A whole response that asks for these functions."""
    response_id = talk.ask()
    talk.take(*(call(response_id, name) for name in names), ended(response_id))


def shown(talk: Talk, **overrides: object) -> list[dict[str, Any]]:
    """The model's context, as a response beside the conversation is shown it now."""
    talk.ask(conversation="none", **overrides)
    messages = list(talk.generated[-1].messages)
    talk.take(inp.CancelResponse(response_id=talk.state.responses[-1].id))
    return messages


def asked(name: str, call_id: str, content: str | None = None) -> dict[str, Any]:
    """How the model is shown a call."""
    function = {"name": name, "arguments": '{"door": "front"}'}
    return {
        "role": "assistant",
        "content": content,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def told(text: str, call_id: str = "call_open_door") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


USER = {"role": "user", "content": "Open the front door."}


# -- a call ----------------------------------------------------------------------------------


def test_h_a_function_call() -> None:
    talk = with_tools()
    user = talk.type_in("Open the front door.")
    response_id = talk.ask()
    talk.take(call(response_id))
    assert talk.types == CALL_OPENING
    added, in_conversation, delta = talk.events
    item_id = added["item"]["id"]
    assert added["item"] == {
        "type": "function_call",
        "id": item_id,
        "status": "in_progress",
        "name": "open_door",
        "call_id": "call_open_door",
        "arguments": "",
    }
    assert in_conversation["item"] == added["item"]
    assert in_conversation["previous_item_id"] == user
    assert (delta["delta"], delta["call_id"]) == ('{"door": "front"}', "call_open_door")
    assert "content_index" not in delta
    talk.take(ended(response_id, input_tokens=7, output_tokens=3))
    assert talk.types == [*CALL_CLOSING, "response.done"]
    arguments, item_done, output_done, done = talk.events
    assert (arguments["name"], arguments["arguments"]) == ("open_door", '{"door": "front"}')
    whole = {**added["item"], "status": "completed", "arguments": '{"door": "front"}'}
    assert item_done["item"] == output_done["item"] == whole
    assert item_done["previous_item_id"] == user
    assert done["response"]["output"] == [whole]
    assert done["response"]["status"] == "completed"
    assert done["response"]["usage"]["total_tokens"] == 10
    assert isinstance(talk.effects[-1], TellLimits)
    (stored,) = (effect.item for effect in talk.effects if isinstance(effect, StoreItem))
    assert isinstance(stored, FunctionCall)
    assert (stored.id, stored.arguments) == (item_id, '{"door": "front"}')


def test_h_the_output_starts_nothing_and_the_next_response_is_shown_it() -> None:
    talk = with_tools()
    talk.type_in("Open the front door.")
    called(talk, "open_door")
    item_id = talk.one("response.output_item.done")["item"]["id"]
    talk.take(output("It is open."))
    assert talk.types == ["conversation.item.added", "conversation.item.done"]
    added, done = (event["item"] for event in talk.events)
    assert added == done
    assert added == {
        "type": "function_call_output",
        "id": added["id"],
        "status": "completed",
        "call_id": "call_open_door",
        "output": "It is open.",
    }
    assert talk.events[0]["previous_item_id"] == item_id
    assert [type(e.item) for e in talk.effects if isinstance(e, StoreItem)] == [FunctionCallOutput]
    assert len(talk.generated) == 1
    talk.ask()
    assert talk.generated[-1].messages == (
        USER,
        asked("open_door", "call_open_door"),
        told("It is open."),
    )


def test_h_speech_and_a_call_in_one_response() -> None:
    talk = with_tools()
    response_id = talk.ask()
    talk.take(
        inp.ReplyText(response_id=response_id, text="One moment."),
        call(response_id),
        audio(response_id, 0, 200.0),
    )
    assert talk.types == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        *CALL_OPENING,
        "response.output_audio.delta",
    ]
    opened = [event for event in talk.events if event["type"] == "response.output_item.added"]
    places = {event["item"]["type"]: event["output_index"] for event in opened}
    assert places == {"message": 0, "function_call": 1}
    message_id = talk.events[0]["item"]["id"]
    talk.take(ended(response_id))
    assert talk.types == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        *CALL_CLOSING,
        "response.done",
    ]
    assert [event.get("output_index") for event in talk.events[:-1]] == [
        0,
        0,
        0,
        None,
        0,
        1,
        None,
        1,
    ]
    assert talk.events[6]["previous_item_id"] == message_id
    kinds = [item["type"] for item in talk.events[-1]["response"]["output"]]
    assert kinds == ["message", "function_call"]
    talk.take(output("Done."))
    assert shown(talk) == [asked("open_door", "call_open_door", "One moment."), told("Done.")]


def test_text_behind_a_call_is_the_second_output_and_closed_first() -> None:
    talk = with_tools()
    response_id = talk.ask(output_modalities=["text"])
    talk.take(call(response_id), inp.ReplyText(response_id=response_id, text="Working on it."))
    assert [e["output_index"] for e in talk.events if "output_index" in e] == [0, 0, 1, 1, 1]
    talk.take(ended(response_id))
    assert talk.types[0] == "response.output_text.done"
    kinds = [item["type"] for item in talk.events[-1]["response"]["output"]]
    assert kinds == ["function_call", "message"]


def test_several_calls_in_one_response() -> None:
    talk = with_tools()
    talk.type_in("Open the front door.")
    called(talk, "open_door", "set_light")
    assert talk.types == [
        *CALL_OPENING,
        *CALL_OPENING,
        *CALL_CLOSING,
        *CALL_CLOSING,
        "response.done",
    ]
    one, two = talk.events[-1]["response"]["output"]
    assert (one["name"], two["name"]) == ("open_door", "set_light")
    talk.take(output("Light.", "call_set_light"), output("Door."))
    first, both, *results = shown(talk)
    assert first == USER
    assert [tool["id"] for tool in both["tool_calls"]] == ["call_set_light", "call_open_door"]
    assert results == [told("Light.", "call_set_light"), told("Door.")]


def test_one_call_at_most_where_the_client_wants_it_so() -> None:
    talk = with_tools()
    talk.take(configure(parallel_tool_calls=False))
    called(talk, "open_door", "set_light")
    assert [item["name"] for item in talk.events[-1]["response"]["output"]] == ["open_door"]
    response_id = talk.ask(parallel_tool_calls=True)
    talk.take(call(response_id), call(response_id, "set_light"), ended(response_id))
    assert len(talk.events[-1]["response"]["output"]) == 2


@pytest.mark.parametrize("overrides", [{"tools": []}, {"tool_choice": "none"}, {"tools": [LAMP]}])
def test_what_was_not_offered_is_not_called(overrides: dict[str, Any]) -> None:
    talk = with_tools()
    response_id = talk.ask(**overrides)
    talk.take(call(response_id))
    assert talk.events == []


def test_a_call_without_arguments_has_no_delta() -> None:
    talk = with_tools()
    response_id = talk.ask()
    talk.take(call(response_id, arguments=""), ended(response_id))
    assert talk.types == [*CALL_OPENING[:2], *CALL_CLOSING, "response.done"]
    assert talk.one("response.function_call_arguments.done")["arguments"] == ""


@pytest.mark.parametrize("call_id", ["", "has space", "x" * 65, "call_open_door", "kä"])
def test_the_models_own_call_id_is_replaced_where_it_cannot_be_used(call_id: str) -> None:
    talk = with_tools()
    called(talk, "open_door")
    response_id = talk.ask()
    talk.take(call(response_id, call_id=call_id), ended(response_id))
    given = talk.one("response.output_item.done")["item"]["call_id"]
    assert given != call_id
    talk.take(output("Fine.", given))
    assert talk.types == ["conversation.item.added", "conversation.item.done"]


def test_an_interrupted_call_is_incomplete_and_the_model_never_made_it() -> None:
    talk = with_tools(detection=ServerVad())
    talk.type_in("Open the front door.")
    response_id = talk.ask()
    talk.take(call(response_id))
    talk.take(inp.SpeechStarted(500))
    assert talk.types == [
        "input_audio_buffer.speech_started",
        *CALL_CLOSING,
        "response.done",
    ]
    assert talk.one("response.output_item.done")["item"]["status"] == "incomplete"
    assert shown(talk) == [USER]


def test_a_reply_cut_short_by_its_limit_leaves_whole_calls_whole() -> None:
    talk = with_tools()
    response_id = talk.ask()
    talk.take(
        inp.ReplyText(response_id=response_id, text="One"),
        call(response_id),
        inp.ReplyEnded(response_id=response_id, finish="length"),
    )
    message, made = talk.events[-1]["response"]["output"]
    assert (message["status"], made["status"]) == ("incomplete", "completed")


def test_what_the_daemons_tools_did_is_shown_with_the_call() -> None:
    talk = with_tools()
    talk.type_in("Open the front door.")
    own = (asked("get_time", "own_1"), told("noon", "own_1"))
    response_id = talk.ask()
    talk.take(call(response_id), ended(response_id, own=own))
    assert "own" not in str(talk.events)
    assert "noon" not in str(talk.events)
    talk.take(output("Open."))
    assert shown(talk) == [USER, *own, asked("open_door", "call_open_door"), told("Open.")]


# -- items that clients make -----------------------------------------------------------------


def test_a_client_may_bring_calls_that_were_made_elsewhere() -> None:
    talk = Talk()
    new = NewCall(name="open_door", arguments='{"door": "front"}', call_id="theirs-1")
    talk.take(inp.CreateItem(item=new), output("Open.", "theirs-1"))
    assert [event["item"]["status"] for event in talk.events] == ["completed"] * 4
    assert shown(talk) == [asked("open_door", "theirs-1"), told("Open.", "theirs-1")]
    talk.take(inp.CreateItem(item=new))
    assert talk.one("error")["error"]["param"] == "item.call_id"
    nameless = NewCall(name="open_door", arguments="{}")
    talk.take(inp.CreateItem(item=nameless))
    given = talk.events[0]["item"]["call_id"]
    talk.take(output("Open.", given))
    assert "error" not in talk.types


def test_an_output_needs_its_call() -> None:
    talk = with_tools()
    response_id = talk.ask()
    talk.take(call(response_id))
    early = talk.take(output("Open."))  # the call is not made to its end yet
    unknown = talk.take(output("Open.", "call_x", event_id="mine"))
    for (event,) in (early, unknown):
        assert event["error"]["code"] == "invalid_tool_call_id"
        assert event["error"]["type"] == "invalid_request_error"
    assert unknown[0]["error"]["event_id"] == "mine"
    talk.take(ended(response_id), output("Open."))
    assert "error" not in talk.types


def test_the_last_of_two_outputs_counts() -> None:
    talk = with_tools()
    called(talk, "open_door")
    talk.take(output("Opening."), output("Open."))
    assert shown(talk) == [asked("open_door", "call_open_door"), told("Open.")]


def test_a_call_goes_with_its_output_wherever_that_is() -> None:
    talk = with_tools()
    talk.type_in("Open the front door.")
    called(talk, "open_door")
    talk.type_in("And hurry.")
    assert shown(talk) == [
        USER,
        asked("open_door", "call_open_door"),
        told(PENDING),
        {"role": "user", "content": "And hurry."},
    ]
    talk.take(output("Open."))
    assert shown(talk) == [
        USER,
        {"role": "user", "content": "And hurry."},
        asked("open_door", "call_open_door"),
        told("Open."),
    ]


def test_an_output_keeps_its_call_when_that_is_deleted() -> None:
    talk = with_tools()
    called(talk, "open_door")
    item_id = talk.one("response.output_item.done")["item"]["id"]
    talk.take(output("Open."), inp.DeleteItem(item_id=item_id))
    assert shown(talk) == [asked("open_door", "call_open_door"), told("Open.")]


def test_a_call_is_retrieved_and_cannot_be_truncated() -> None:
    talk = with_tools()
    called(talk, "open_door")
    item = talk.one("response.output_item.done")["item"]
    talk.take(inp.RetrieveItem(item_id=item["id"]))
    assert talk.one("conversation.item.retrieved")["item"] == item
    talk.take(inp.TruncateItem(item_id=item["id"], content_index=0, audio_end_ms=0))
    assert talk.one("error")["error"]["code"] == "unsupported_content_type"


def test_the_budget_of_the_context_keeps_call_and_output_together() -> None:
    talk = Talk()
    for number in range(6):
        made = NewCall(name="look_up", arguments="x" * MOST_TEXT, call_id=f"c{number}")
        talk.take(inp.CreateItem(item=made), output("y" * 100, f"c{number}"), typed("more"))
    messages = shown(talk)
    roles = [message["role"] for message in messages]
    assert roles == ["user", *["assistant", "tool", "user"] * 3]


def test_texts_of_a_client_are_bounded() -> None:
    talk = Talk()
    long = NewMessage(role="assistant", content=(OutputText("x" * MOST_TEXT), OutputText("y")))
    talk.take(inp.CreateItem(item=long))
    assert talk.one("error")["error"]["param"] == "item.content[1].text"
    wrong = NewMessage(role="assistant", content=(InputText("x"),))
    talk.take(inp.CreateItem(item=wrong))
    assert talk.one("error")["error"]["param"] == "item.content[0].type"


# -- beside the conversation -----------------------------------------------------------------


def test_a_call_of_an_out_of_band_response_can_be_answered() -> None:
    talk = with_tools()
    response_id = talk.ask(conversation="none", input=[])
    talk.take(call(response_id), ended(response_id))
    assert talk.types == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        *CALL_CLOSING,
        "response.done",
    ]
    assert talk.one("conversation.item.done")["previous_item_id"] is None
    assert shown(talk) == []  # the conversation knows nothing of it
    talk.take(output("Open."))
    assert shown(talk) == [asked("open_door", "call_open_door"), told("Open.")]


def test_input_may_hold_calls_outputs_and_references_to_them() -> None:
    talk = with_tools()
    called(talk, "open_door")
    talk.take(output("Open."))
    reference = {"type": "item_reference", "id": talk.events[0]["item"]["id"]}
    assert shown(talk, input=[reference]) == [asked("open_door", "call_open_door"), told("Open.")]
    made = {"type": "function_call", "name": "open_door", "arguments": '{"door": "front"}'}
    answer = {"type": "function_call_output", "output": "Shut."}
    given = [{**made, "call_id": "c1"}, {**answer, "call_id": "c1"}]
    assert shown(talk, input=given) == [asked("open_door", "c1"), told("Shut.", "c1")]
    talk.take(inp.CreateResponse(overrides={"input": [made, {**answer, "call_id": "c1"}]}))
    assert talk.one("error")["error"]["code"] == "invalid_tool_call_id"


def test_i_an_empty_out_of_band_result_has_an_item_without_a_part() -> None:
    talk = Talk()
    response_id = talk.ask(conversation="none", metadata={"topic": "none"})
    assert talk.one("response.created")["response"]["conversation_id"] is None
    talk.take(ended(response_id))
    assert talk.types == [
        "response.output_item.added",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    (item,) = talk.events[-1]["response"]["output"]
    assert (item["content"], item["status"]) == ([], "completed")
    assert talk.events[-1]["response"]["metadata"] == {"topic": "none"}


# -- what a client may ask for ---------------------------------------------------------------


def test_tools_are_echoed_as_they_were_given() -> None:
    talk = with_tools(DOOR, LAMP)
    choice = {"type": "function", "name": "set_light"}
    talk.take(configure(tool_choice=choice, parallel_tool_calls=False))
    session = talk.events[0]["session"]
    assert session["tools"] == [DOOR, LAMP]
    assert (session["tool_choice"], session["parallel_tool_calls"]) == (choice, False)
    options = (talk.ask(), talk.generated[-1].options)[1]
    assert options.tools[1] == FunctionTool(name="set_light")
    assert (options.tool_choice, options.parallel_tool_calls) == (
        ChosenFunction(name="set_light"),
        False,
    )


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"tools": [DOOR, {**LAMP, "meta": {}}]}, "unknown_parameter", "tools[1].meta"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name"),
        ({"tools": [{**LAMP, "type": "web_search"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [{**LAMP, "name": "no blanks"}]}, "invalid_value", "tools[0].name"),
        ({"tools": [LAMP, {**DOOR, "parameters": 1}]}, "invalid_value", "tools[1].parameters"),
        ({"tools": [LAMP, LAMP]}, "invalid_value", "tools[1].name"),
        ({"tools": [LAMP, {"type": "mcp", "server_label": "x"}]}, "invalid_value", "tools[1].type"),
        ({"tools": "all"}, "invalid_value", "tools"),
        ({"tool_choice": "sometimes"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "mcp"}}, "invalid_value", "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "tool_choice.name"),
        ({"parallel_tool_calls": 1}, "invalid_value", "parallel_tool_calls"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_by_name(
    fields: dict[str, Any], code: str, param: str
) -> None:
    talk = Talk()
    before = talk.state.config
    talk.take(configure(instructions="Changed.", **fields))
    error = talk.one("error")["error"]
    assert (error["code"], error["param"]) == (code, f"session.{param}")
    assert talk.state.config == before
    talk.take(inp.CreateResponse(overrides=fields))
    error = talk.one("error")["error"]
    assert (error["code"], error["param"]) == (code, f"response.{param}")
