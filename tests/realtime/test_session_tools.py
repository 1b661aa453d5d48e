"""A session whose client offers functions, on fake engines: when calls come, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.realtime.fakes import FakeLlm, FakeToolbox, FakeTts, Talk, calls, says, talking
from voiced.engines.ports import ReplyEnd, TextDelta, ToolCall

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.realtime.fakes import Step

DOOR = {"type": "function", "name": "open_door", "parameters": {"type": "object"}}
TIME = {"type": "function", "name": "get_time"}


def answers(talk: Talk, call: dict[str, Any], output: str) -> None:
    """What a client does when it has run a function."""
    item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create")


async def made_calls(talk: Talk) -> list[dict[str, Any]]:
    done = await talk.until("response.done")
    assert done["response"]["status"] == "completed"
    return [item for item in done["response"]["output"] if item["type"] == "function_call"]


async def test_a_client_runs_a_function_and_the_answer_uses_its_output(
    autojump_clock: MockClock,
) -> None:
    llm = FakeLlm(calls("open_door"), says("The door is open."))
    async with talking(llm=llm) as talk:
        talk.configure(tools=[DOOR])
        talk.type_in("open the door")
        (call,) = await made_calls(talk)
        assert llm.offered == [["open_door", "get_time"]]
        assert [event["type"] for event in await talk.rest()] == ["rate_limits.updated"]
        answers(talk, call, '{"door": "open"}')
        done = await talk.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "The door is open."
        _, question, asked, output = llm.asked[-1]
        assert question["content"] == "open the door"
        assert asked["tool_calls"][0]["id"] == output["tool_call_id"] == call["call_id"]
        assert output["content"] == '{"door": "open"}'


@pytest.mark.parametrize("modality", ["audio", "text"])
async def test_speech_before_a_call_is_the_first_output(
    autojump_clock: MockClock, modality: str
) -> None:
    script: list[Step] = [
        TextDelta("One moment"),
        ToolCall(call_id="call_1", name="open_door", arguments="{}"),
        TextDelta(", please."),
        ReplyEnd(finish="tool_calls", output_tokens=5),
    ]
    async with talking(llm=FakeLlm(script)) as talk:
        talk.configure(tools=[DOOR], output_modalities=[modality])
        talk.type_in("open the door")
        done = await talk.until("response.done")
        message, call = done["response"]["output"]
        assert (message["type"], call["type"]) == ("message", "function_call")
        said = message["content"][0].get("transcript") or message["content"][0].get("text")
        assert said == "One moment, please."
        types = [event["type"] for event in talk.events]
        delta = types.index("response.function_call_arguments.delta")
        assert delta < types.index("response.content_part.done")
        assert types.index("response.content_part.done") < types.index(
            "response.function_call_arguments.done"
        )


async def test_the_daemons_tools_run_beside_the_clients_and_are_remembered(
    autojump_clock: MockClock,
) -> None:
    llm = FakeLlm(calls("get_time", "open_door"), says("Open since noon."))
    toolbox = FakeToolbox()
    async with talking(llm=llm, toolbox=toolbox) as talk:
        talk.configure(tools=[DOOR])
        talk.type_in("open the door and tell me the time")
        (call,) = await made_calls(talk)
        assert (call["name"], toolbox.called) == ("open_door", ["get_time"])
        answers(talk, call, "open")
        await talk.until("response.done")
        roles = [(m["role"], m.get("tool_call_id")) for m in llm.asked[-1][1:]]
        assert roles == [
            ("user", None),
            ("assistant", None),
            ("tool", "call_get_time"),
            ("assistant", None),
            ("tool", "call_open_door"),
        ]


async def test_a_clients_function_takes_the_place_of_the_daemons(
    autojump_clock: MockClock,
) -> None:
    toolbox = FakeToolbox()
    async with talking(llm=FakeLlm(calls("get_time")), toolbox=toolbox) as talk:
        talk.configure(tools=[TIME])
        talk.type_in("what time is it")
        (call,) = await made_calls(talk)
        assert (call["name"], toolbox.called) == ("get_time", [])


@pytest.mark.parametrize(
    ("choice", "passed"),
    [
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "open_door"}, {"name": "open_door"}),
    ],
)
async def test_the_tool_choice_reaches_the_model(
    autojump_clock: MockClock, choice: object, passed: object
) -> None:
    llm = FakeLlm(says("Hm."))
    async with talking(llm=llm) as talk:
        talk.configure(tools=[DOOR])
        talk.type_in("open the door", tool_choice=choice)
        await talk.until("response.done")
        talk.type_in("again")
        await talk.until("response.done")
        assert llm.chosen == [passed, "auto"]


async def test_a_model_that_calls_what_it_may_not_is_not_listened_to(
    autojump_clock: MockClock,
) -> None:
    toolbox = FakeToolbox()
    async with talking(llm=FakeLlm(calls("open_door", "get_time")), toolbox=toolbox) as talk:
        talk.configure(tools=[DOOR], tool_choice="none")
        talk.type_in("open the door")
        assert await made_calls(talk) == []
        assert toolbox.called == []


async def test_a_function_that_nobody_offers_fails_the_response_plainly(
    autojump_clock: MockClock,
) -> None:
    async with talking() as talk:
        talk.type_in("fly", tool_choice={"type": "function", "name": "fly"})
        done = await talk.until("response.done")
        error = done["response"]["status_details"]["error"]
        assert error["code"] == "tool_choice_unmet"
        assert error["message"] == "There is no tool 'fly' to call."


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize(
    "pieces",
    [["one two three four five six seven"], ["one two th", "ree", " fou", "r five", " ", "s"]],
)
async def test_an_engine_that_does_not_count_is_stopped_at_the_limit(
    autojump_clock: MockClock, modality: str, pieces: list[str]
) -> None:
    llm = FakeLlm([*map(TextDelta, pieces), 1_000.0, ReplyEnd(finish="stop")])
    async with talking(llm=llm, tts=FakeTts(clause_ms=100)) as talk:
        talk.configure(output_modalities=[modality])
        talk.type_in("count to seven", max_output_tokens=5)
        done = (await talk.until("response.done"))["response"]
        assert done["status"] == "incomplete"
        assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert done["usage"]["output_tokens"] == 5
        assert done["usage"]["input_tokens"] >= 3
        part = done["output"][0]["content"][0]
        said = part.get("text") or part["transcript"]
        assert said.split() == ["one", "two", "three", "four", "five"]
        assert done["output"][0]["status"] == "incomplete"


async def test_a_limit_that_is_just_enough_cuts_nothing(autojump_clock: MockClock) -> None:
    script: list[Step] = [TextDelta("one two"), ReplyEnd(finish="stop", output_tokens=2)]
    async with talking(llm=FakeLlm(script)) as talk:
        talk.type_in("count", max_output_tokens=2, output_modalities=["text"])
        done = (await talk.until("response.done"))["response"]
        assert (done["status"], done["usage"]["output_tokens"]) == ("completed", 2)


async def test_a_call_beyond_the_limit_is_not_made(autojump_clock: MockClock) -> None:
    async with talking(llm=FakeLlm(calls("open_door"))) as talk:
        talk.configure(tools=[DOOR])
        talk.type_in("open the door", max_output_tokens=1)
        done = (await talk.until("response.done"))["response"]
        assert (done["status"], done["output"]) == ("incomplete", [])


async def test_a_picture_is_refused_plainly_and_the_conversation_goes_on(
    autojump_clock: MockClock,
) -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"}
    content = [{"type": "input_text", "text": "what is this"}, picture]
    message = {"type": "message", "role": "user", "content": content}
    async with talking() as talk:
        talk.send("conversation.item.create", item=message, event_id="mine")
        error = (await talk.next())["error"]
        assert error["code"] == "unsupported_content_type"
        assert (error["param"], error["event_id"]) == ("item.content[1].type", "mine")
        assert "input_image" in error["message"]
        talk.send("response.create", response={"conversation": "none", "input": [message]})
        error = (await talk.next())["error"]
        assert error["param"] == "response.input[0].content[1].type"
        talk.type_in("what time is it")
        assert (await talk.until("response.done"))["response"]["status"] == "completed"
