"""The assistant as a language model: messages in; text or a tool call out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from tests.assistant.assistant_helpers import LONG_TEXTS, at_most_lines
from tests.engines.host_helpers import running_host
from voiced.engines.clients import EngineLlm
from voiced.engines.llm.assistant import AssistantEngine
from voiced.engines.ports import ReplyEnd, ToolCall, WorkCancelled
from voiced.engines.spec import EngineSpec
from voiced.errors import ModelError, ToolChoiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from voiced.engines.ports import ToolChoice

TOOLS = ("get_time", "get_date", "set_timer", "cancel_timer", "timer_status", "calculate",
         "set_light")  # fmt: skip
OFFERED = [{"name": name, "description": "", "parameters": {}} for name in TOOLS]

Message = dict[str, Any]


class Request:
    """A `Work` on the spot."""

    op = "reply"
    asked_anew = False
    patience = 1_000_000  # cancelled when asked once more than this

    def __init__(
        self,
        messages: list[Message],
        tools: list[dict[str, Any]],
        limit: int | None,
        choice: ToolChoice = "auto",
        only: str = "",
    ) -> None:
        self.params: Mapping[str, Any] = {
            "messages": messages,
            "tools": tools,
            "max_output_tokens": limit,
            "tool_choice": choice,
            "only": only,
        }  # fmt: skip
        self.parts: list[Mapping[str, Any]] = []

    @property
    def cancelled(self) -> bool:
        return self.patience < 0

    def on_cancel(self, callback: Callable[[], None]) -> None:
        raise AssertionError("an answer takes less than a millisecond")

    def raise_if_cancelled(self) -> None:
        self.patience -= 1
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        self.parts.append(part)

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("a reply takes no audio")


@pytest.fixture(scope="module")
def engine() -> AssistantEngine:
    engine = AssistantEngine({})
    engine.load()
    engine.warm_up()
    return engine


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def ask(
    engine: AssistantEngine,
    messages: list[Message],
    tools: list[dict[str, Any]] = OFFERED,
    limit: int | None = None,
    choice: ToolChoice = "auto",
    only: str = "",
) -> tuple[str, dict[str, Any] | None, Mapping[str, Any]]:
    """Text, tool call and end of a reply."""
    request = Request(messages, tools, limit, choice, only)
    end = engine.run(request)
    text = "".join(part.get("text", "") for part in request.parts)
    calls = [part["tool_call"] for part in request.parts if "tool_call" in part]
    assert end["finish"] == ("tool_calls" if calls else end["finish"])
    return text, calls[0] if calls else None, end


def answered(question: str, tool: str, result: object) -> list[Message]:
    """A conversation up to the result of a tool."""
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
    content = result if isinstance(result, str) else json.dumps(result)
    return [
        user(question),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": content},
    ]


def test_a_sentence_becomes_a_tool_call(engine: AssistantEngine) -> None:
    text, call, end = ask(engine, [user("Turn on the living room lamp.")])
    assert text == ""
    assert call is not None
    assert call["name"] == "set_light"
    assert json.loads(call["arguments"]) == {"device": "living room lamp", "state": "on"}
    assert call["call_id"]
    assert end["finish"] == "tool_calls"


def test_who_asks_twice_before_the_first_answer_is_answered_twice(engine: AssistantEngine) -> None:
    """As agents-realtime's sendMessage does: the first answer comes to stand behind both."""
    asked = [user("what time is it"), user("what's the date")]
    first = {"role": "assistant", "content": "It is noon."}
    _, call, _ = ask(engine, [*asked, first])
    assert call is not None
    assert call["name"] == "get_date"
    result = answered("", "get_date", {"ok": True, "date": "2026-11-20"})[1:]
    text, _, _ = ask(engine, [*asked, first, *result])
    assert text == "It is Friday, the twentieth of November."
    text, call, _ = ask(engine, [*asked, first, {"role": "assistant", "content": text}])
    assert call is None
    assert text == "How can I help?"


@pytest.mark.parametrize("only", ["", "tools", "understood"])
def test_what_a_program_adds_behind_a_question_is_nobodys_turn(
    engine: AssistantEngine, only: str
) -> None:
    """As the daemon does where it is hot: in front of a model, and without one."""
    aside = {"role": "system", "content": "Answer this in one or two short sentences."}
    _, call, _ = ask(engine, [user("what time is it"), aside], only=only)
    assert call is not None
    assert call["name"] == "get_time"
    asked, *rest = answered("what time is it", "get_time", {"ok": True, "time": "14:05"})
    for messages in ([asked, aside, *rest], [asked, aside, *rest, aside]):
        assert ask(engine, messages, only=only)[0] == "It is five past two."


def test_a_question_that_was_not_answered_is_not_answered_later(engine: AssistantEngine) -> None:
    _, call, _ = ask(engine, [user("what time is it"), user("what's the date")])
    assert call is not None
    assert call["name"] == "get_date"


@pytest.mark.parametrize(
    ("question", "tool", "result", "reply"),
    [
        ("what time is it", "get_time", {"ok": True, "time": "14:05"}, "It is five past two."),
        ("what's the date", "get_date", {"ok": True, "date": "2026-11-20"},
         "It is Friday, the twentieth of November."),
        ("set a timer for 5 minutes", "set_timer", {"ok": True, "duration_s": 300},
         "Timer set for 5 minutes."),
        ("set a timer for 5 minutes", "set_timer",
         {"ok": True, "duration_s": 300, "status": "replaced", "replaced_s": 9},
         "Timer set for 5 minutes. It takes the place of the one before."),
        ("cancel the timer", "cancel_timer", {"ok": False, "error": "no_timer"},
         "There is no timer running."),
        ("timer status", "timer_status", {"ok": True, "remaining_s": 61, "duration_s": 300},
         "1 minute and 1 second left of 5 minutes."),
        ("what is 7 times 8", "calculate", {"ok": True, "value": 56}, "7 times 8 is 56."),
        ("what is 3 minus 8", "calculate", {"ok": True, "value": -5}, "3 minus 8 is minus 5."),
        ("what is 5 divided by 0", "calculate", {"ok": False, "error": "division_by_zero"},
         "Dividing by zero has no answer."),
        ("turn on the living room lamp", "set_light", {"ok": False, "error": "no_home"},
         "I cannot turn on the living room lamp, because no home is connected."),
        ("turn the kitchen lights off", "set_light", {"ok": True, "state": "off"},
         "The lights in the kitchen are off."),
        ("dim all the lights to 30%", "set_light", {"ok": True, "brightness": 30},
         "All the lights are at 30 percent."),
        # a tool that does not keep to the sentences file
        ("what time is it", "get_time", {"ok": True}, "Done."),
        ("what time is it", "get_time", {"ok": True, "time": "noonish"}, "noonish"),
        ("what time is it", "get_time", {"ok": False, "error": "tired"},
         "Sorry, that did not work."),
        ("what time is it", "get_time", "Nearly noon.", "Nearly noon."),
        ("what time is it", "get_time", [1], "Done."),
        ("what time is it", "get_time", "[1, ", "Sorry, that did not work."),
        ("what time is it", "get_time", "[" * 100_000, "Sorry, that did not work."),
        ("what time is it", "other_tool", {"ok": True, "time": "14:05"}, "14:05"),
        # a client's own function, which may answer anything
        ("is it warm", "get_weather", {"temperature": 21.5}, "21.5"),
        ("is it warm", "get_weather", {"temperature": 21.5, "sky": "grey"}, "Done."),
        ("is it warm", "get_weather", {"code": 7, "message": "It is 21 degrees."},
         "It is 21 degrees."),
        ("is it warm", "get_weather", {"message": {"text": "no"}, "result": '{"a": 1}'}, "Done."),
        ("is it warm", "get_weather", {"error": "There is no such place."},
         "There is no such place."),
        ("is it warm", "get_weather", {"error": {"code": 404}}, "Sorry, that did not work."),
        ("is it warm", "get_weather", {"ok": False, "error": "no_arg", "message": "'x' missing"},
         "Sorry, that did not work."),
        ("is it warm", "get_weather", '"Yes, 21 degrees."', "Yes, 21 degrees."),
        ("is it warm", "get_weather", "<p>Yes</p>", "Done."),
        ("is it warm", "get_weather", "", "Done."),
        ("is it warm", "get_weather", "true", "Done."),
        ("is it warm", "get_weather", "false", "Sorry, that did not work."),
        ("is it warm", "get_weather", "Yes. " * 100, ("Yes. " * 80).strip()),
        ("is it warm", "get_weather", "yes " * 200, "yes " * 99 + "yes …"),
    ],
)  # fmt: skip
def test_a_result_becomes_a_reply(
    engine: AssistantEngine, question: str, tool: str, result: object, reply: str
) -> None:
    text, call, end = ask(engine, answered(question, tool, result))
    assert (text, call, end["finish"]) == (reply, None, "stop")


def test_it_says_plainly_what_it_did_not_catch_or_understand(engine: AssistantEngine) -> None:
    for nothing in ("", "  ", "..."):
        assert ask(engine, [user(nothing)])[0] == "Sorry, I did not catch that."
    assert "did not understand" in ask(engine, [user("What is the meaning of life?")])[0]


@pytest.mark.parametrize("text", LONG_TEXTS.values(), ids=LONG_TEXTS.keys())
def test_a_long_message_is_plainly_not_understood(engine: AssistantEngine, text: str) -> None:
    with at_most_lines(10_000):
        assert "did not understand" in ask(engine, [user(text)])[0]


def test_only_tools_that_are_offered_are_called(engine: AssistantEngine) -> None:
    text, call, _ = ask(engine, [user("what time is it")], tools=OFFERED[1:])
    assert call is None
    assert text == "I understood that, but I cannot do it here."
    needs_more = {"type": "object", "properties": {"zone": {}}, "required": ["zone"]}
    needing = [{"name": "get_time", "parameters": needs_more}]
    assert ask(engine, [user("what time is it")], tools=needing)[1] is None
    openai_shape = [{"type": "function", "function": OFFERED[0]}]
    assert ask(engine, [user("what time is it")], tools=openai_shape)[1] is not None


def test_repeat_says_the_last_thing_again(engine: AssistantEngine) -> None:
    said = [user("hello"), {"role": "assistant", "content": "Good day."}, user("hm")]
    said += answered("what time is it", "get_time", {"ok": True})
    assert ask(engine, [*said, user("say that again")])[0] == "Good day."
    assert ask(engine, [user("say that again")])[0] == "I have not said anything yet."


def test_content_may_come_in_parts(engine: AssistantEngine) -> None:
    parts = [{"type": "text", "text": "what can"}, {"type": "text", "text": "I say?"}]
    assert "set a timer" in ask(engine, [{"role": "user", "content": parts}])[0]


def test_a_reply_keeps_to_its_limit(engine: AssistantEngine) -> None:
    text, _, end = ask(engine, [user("help")], limit=3)
    assert text == "You can ask"
    assert (end["finish"], end["output_tokens"]) == ("length", 3)


LOOK_UP = {
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"query": {"type": "string"}, "most": {"type": "integer"}},
        "required": ["query"],
    },
}
LOCK = {
    "name": "lock",
    "parameters": {
        "type": "object",
        "properties": {"door": {"type": "string", "enum": ["front"]}},
        "required": ["door"],
    },
}


@pytest.mark.parametrize(
    ("choice", "tools", "said", "name", "arguments"),
    [
        # what was understood
        ({"name": "set_light"}, OFFERED, "turn on the living room lamp", "set_light",
         {"device": "living room lamp", "state": "on"}),
        ("required", OFFERED, "what is 7 times 8", "calculate", {"expression": "7 * 8"}),
        # the user's own words
        ({"name": "look_up"}, [*OFFERED, LOOK_UP], "who was Ada?", "look_up",
         {"query": "who was Ada?"}),
        ("required", [LOOK_UP, LOCK], "who was Ada?", "look_up", {"query": "who was Ada?"}),
        # nothing is asked for
        ({"name": "get_time"}, OFFERED, "hm", "get_time", {}),
    ],
)  # fmt: skip
def test_a_tool_that_must_be_called_is(
    engine: AssistantEngine,
    choice: ToolChoice,
    tools: list[dict[str, Any]],
    said: str,
    name: str,
    arguments: dict[str, Any],
) -> None:
    _, call, end = ask(engine, [user(said)], tools, choice=choice)
    assert call is not None
    assert (call["name"], json.loads(call["arguments"])) == (name, arguments)
    assert end["finish"] == "tool_calls"


@pytest.mark.parametrize(
    ("choice", "tools", "said", "why"),
    [
        ({"name": "fly"}, OFFERED, "fly to Rome", "There is no tool 'fly' to call."),
        ({"name": "lock"}, [LOCK], "lock the door",
         "The arguments of 'lock' are not to be told from what was said."),
        ({"name": "look_up"}, [LOOK_UP], "",
         "The arguments of 'look_up' are not to be told from what was said."),
        ("required", OFFERED, "tell me a story", "None of the tools is plainly"),
        ("required", [], "what time is it", "None of the tools is plainly"),
    ],
)  # fmt: skip
def test_what_must_be_called_and_cannot_is_refused_plainly(
    engine: AssistantEngine, choice: ToolChoice, tools: list[dict[str, Any]], said: str, why: str
) -> None:
    with pytest.raises(ToolChoiceError) as refused:
        ask(engine, [user(said)], tools, choice=choice)
    assert refused.value.public.startswith(why)


def test_no_tool_is_called_where_none_is_wanted(engine: AssistantEngine) -> None:
    text, call, _ = ask(engine, [user("what time is it")], choice="none")
    assert (text, call) == ("I understood that, but I cannot do it here.", None)


def test_a_result_meets_the_choice(engine: AssistantEngine) -> None:
    """A session that insists on a call would otherwise be called for ever."""
    messages = answered("what time is it", "get_time", {"ok": True, "time": "14:05"})
    for choice in ("required", {"name": "get_time"}):
        assert ask(engine, messages, choice=choice)[0] == "It is five past two."


def test_several_results_are_said_one_after_the_other(engine: AssistantEngine) -> None:
    messages = answered("how warm is it", "get_weather", "Rome has 20 degrees.")
    for text in ("Oslo has 2 degrees.", "Oslo has 2 degrees."):
        messages.append({"role": "tool", "tool_call_id": "call_2", "content": text})
    assert ask(engine, messages)[0] == "Rome has 20 degrees. Oslo has 2 degrees."


def test_a_call_beyond_the_limit_is_not_made_in_part(engine: AssistantEngine) -> None:
    text, call, end = ask(engine, [user("turn on the living room lamp")], limit=2)
    assert (text, call, end["finish"], end["output_tokens"]) == ("", None, "length", 2)


@pytest.mark.parametrize("patience", range(8))
def test_a_cancelled_request_says_nothing(engine: AssistantEngine, patience: int) -> None:
    """It looks before each message, before the answer and behind it."""
    request = Request([user("hello")] * 6, [], None)
    request.patience = patience
    with pytest.raises(WorkCancelled):
        engine.run(request)
    assert request.parts == []


@pytest.mark.parametrize("messages", [[], [{"role": "system", "content": "Be kind."}]])
def test_without_a_question_it_offers_help(
    engine: AssistantEngine, messages: list[Message]
) -> None:
    assert ask(engine, messages)[0] == "How can I help?"


def test_a_wrong_file_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("language: en\n")
    with pytest.raises(ModelError, match=r"mine\.yaml:1: 'intents' is missing"):
        AssistantEngine({"sentences": str(path)}).load()


async def test_it_answers_from_a_process_of_its_own() -> None:
    spec = EngineSpec(
        kind="llm",
        name="assistant",
        target="voiced.engines.llm.assistant:AssistantEngine",
        options={"sentences": "", "home": "", "language": "en"},
    )
    async with running_host(spec) as host:
        llm = EngineLlm(host)
        async with llm.reply([user("what is 7 times 8")], tools=OFFERED) as parts:
            call, end = [part async for part in parts]
        assert isinstance(call, ToolCall)
        assert json.loads(call.arguments) == {"expression": "7 * 8"}
        assert isinstance(end, ReplyEnd)
        assert end.finish == "tool_calls"
        with pytest.raises(ToolChoiceError, match="There is no tool 'fly' to call"):
            async with llm.reply([user("hm")], tool_choice={"name": "fly"}) as parts:
                assert [part async for part in parts]
        async with llm.reply([user("what time is it")], tools=OFFERED, tool_choice="none") as said:
            assert not any([isinstance(part, ToolCall) async for part in said])


@pytest.mark.parametrize(
    ("words", "intent"),
    [("what time is it", "GetTime"), ("purple bicycles dream loudly", ""), ("", ""), ("...", "")],
)
async def test_the_log_says_whether_a_turn_was_understood_and_none_of_its_words(
    words: str, intent: str
) -> None:
    spec = EngineSpec(
        kind="llm",
        name="assistant",
        target="voiced.engines.llm.assistant:AssistantEngine",
        options={"sentences": "", "home": "", "language": "en"},
    )
    with capture_logs() as logs:
        async with (
            running_host(spec) as host,
            EngineLlm(host).reply([{"role": "user", "content": words}]) as parts,
        ):
            *_, end = [part async for part in parts]
    assert isinstance(end, ReplyEnd)
    assert end.intent == intent
    (line,) = (entry for entry in logs if entry["event"] == "took words to mean")
    assert line["intent"] == (intent or "nothing known")
    assert not words or words not in str(logs)


# -- beside a language model ----------------------------------------------------------------


def declines(
    engine: AssistantEngine,
    messages: list[Message],
    only: str = "tools",
    choice: ToolChoice = "auto",
    tools: list[dict[str, Any]] = OFFERED,
) -> bool:
    request = Request(messages, tools, None, choice)
    request.params = {**request.params, "only": only}
    result = engine.run(request)
    assert bool(result.get("declined")) != bool(request.parts)  # it does, or it answers
    return bool(result.get("declined"))


@pytest.mark.parametrize("text", ["what time is it", "set a timer for ten minutes", "...", ""])
def test_in_front_of_a_model_it_answers_what_a_tool_is_for(
    engine: AssistantEngine, text: str
) -> None:
    assert not declines(engine, [user(text)])


@pytest.mark.parametrize("text", ["hello", "why is the sky blue", "help"])
def test_in_front_of_a_model_it_leaves_the_rest_to_it(engine: AssistantEngine, text: str) -> None:
    assert declines(engine, [user(text)])


def test_behind_a_model_it_answers_whatever_it_understands(engine: AssistantEngine) -> None:
    assert not declines(engine, [user("hello")], "understood")
    assert not declines(engine, [user("what time is it")], "understood")
    assert declines(engine, [user("why is the sky blue")], "understood")


def result_of_call(text: str, tool: str) -> list[Message]:
    function = {"name": tool, "arguments": "{}"}
    call = {"id": "call_1", "type": "function", "function": function}
    answer = {"role": "tool", "tool_call_id": "call_1", "content": '{"ok": true, "time": "12:00"}'}
    return [user(text), {"role": "assistant", "content": None, "tool_calls": [call]}, answer]


def test_it_puts_into_words_what_came_of_its_own_calls_and_not_of_the_models(
    engine: AssistantEngine,
) -> None:
    assert not declines(engine, result_of_call("what time is it", "get_time"))
    assert declines(engine, result_of_call("why is the sky blue", "get_time"))
    assert declines(engine, result_of_call("what time is it", "get_date"))


def test_it_makes_a_call_that_is_insisted_on_only_where_the_words_mean_it(
    engine: AssistantEngine,
) -> None:
    time = [user("what time is it")]
    assert not declines(engine, time, choice="required")
    assert not declines(engine, time, choice={"name": "get_time"})
    assert declines(engine, time, choice={"name": "set_light"})
    assert declines(engine, [user("why is the sky blue")], choice="required")
    assert declines(engine, time, choice="none")
    assert declines(engine, time, tools=[])


def test_what_has_been_answered_is_for_the_model_to_go_on_from(engine: AssistantEngine) -> None:
    said = {"role": "assistant", "content": "It is noon."}
    assert declines(engine, [user("what time is it"), said])
    assert declines(engine, [])
