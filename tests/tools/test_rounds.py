"""One answer through its rounds of tools: the daemon's run inside, the client's end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing

from tests.realtime.fakes import FakeLlm, FakeToolbox, calls, says
from voiced.engines.ports import ReplyEnd, TextDelta, ToolCall
from voiced.errors import EngineFailed
from voiced.tools.rounds import MOST_TOOL_ROUNDS, Answered, Question, converse
from voiced.tools.toolbox import ToolContext

if TYPE_CHECKING:
    from tests.realtime.fakes import Step
    from voiced.tools.toolbox import Toolbox

ASKED = ({"role": "user", "content": "what time is it"},)
OPEN_DOOR = {"name": "open_door", "description": "", "parameters": {}}


class Asking:
    """Asks a fake model, and keeps what came of it."""

    def __init__(self, llm: FakeLlm) -> None:
        self.llm = llm
        self.toolbox = FakeToolbox()
        self.said: list[str] = []

    async def ask(self, **question: Any) -> Answered:  # noqa: ANN401  # fields of Question
        async def sink(text: str) -> None:
            self.said.append(text)

        return await converse(
            self.llm,
            cast("Toolbox", self.toolbox),
            Question(messages=ASKED, **question),
            ToolContext(),
            sink,
        )


async def test_the_daemons_tool_runs_unseen_and_its_result_is_told_to_the_model() -> None:
    asking = Asking(FakeLlm(calls("get_time"), says("It is", " noon.")))
    answered = await asking.ask()
    assert asking.toolbox.called == ["get_time"]
    assert asking.said == ["It is", " noon."]
    assert (answered.finish, answered.calls) == ("stop", ())
    _, (_, assistant, result) = asking.llm.asked
    assert assistant["tool_calls"][0]["function"]["name"] == "get_time"
    assert result == {
        "role": "tool",
        "tool_call_id": "call_get_time",
        "content": '{"tool": "get_time"}',
    }


async def test_the_cost_of_all_rounds_is_added_up() -> None:
    first: list[Step] = [
        ToolCall(call_id="c", name="get_time", arguments="{}"),
        ReplyEnd(finish="tool_calls", input_tokens=5, output_tokens=2),
    ]
    second: list[Step] = [
        TextDelta("Noon."),
        ReplyEnd(finish="stop", input_tokens=9, output_tokens=1),
    ]
    answered = await Asking(FakeLlm(first, second)).ask()
    assert (answered.input_tokens, answered.output_tokens) == (14, 3)


async def test_a_clients_tool_ends_the_answer_and_is_not_run() -> None:
    asking = Asking(FakeLlm(calls("open_door")))
    answered = await asking.ask(tools=(OPEN_DOOR,))
    assert answered.finish == "tool_calls"
    assert [call.name for call in answered.calls] == ["open_door"]
    assert asking.toolbox.called == []
    assert asking.llm.offered == [["open_door", "get_time"]]


async def test_a_clients_tool_takes_the_place_of_the_daemons_of_the_same_name() -> None:
    asking = Asking(FakeLlm(calls("get_time")))
    answered = await asking.ask(tools=({**OPEN_DOOR, "name": "get_time"},))
    assert [call.name for call in answered.calls] == ["get_time"]
    assert asking.toolbox.called == []
    assert asking.llm.offered == [["get_time"]]


async def test_a_call_for_the_daemon_waits_for_the_client_that_is_called_in_the_same_round() -> (
    None
):
    asking = Asking(FakeLlm(calls("open_door", "get_time")))
    answered = await asking.ask(tools=(OPEN_DOOR,))
    assert [call.name for call in answered.calls] == ["open_door"]
    assert asking.toolbox.called == []


async def test_one_call_at_a_time_where_the_client_wants_no_more() -> None:
    asking = Asking(FakeLlm(calls("open_door", "open_door")))
    answered = await asking.ask(tools=(OPEN_DOOR,), parallel_tool_calls=False)
    assert len(answered.calls) == 1


@pytest.mark.parametrize("choice", ["required", {"name": "open_door"}])
async def test_a_client_that_insists_on_a_call_gets_one_of_its_own(choice: Any) -> None:  # noqa: ANN401
    asking = Asking(FakeLlm(calls("open_door")))
    await asking.ask(tools=(OPEN_DOOR,), tool_choice=choice)
    assert asking.llm.offered == [["open_door"]]
    assert asking.llm.chosen == [choice]


async def test_a_call_that_was_insisted_on_is_not_asked_for_again() -> None:
    asking = Asking(FakeLlm(calls("get_time"), says("Noon.")))
    await asking.ask(tool_choice="required")
    assert asking.llm.chosen == ["required", "auto"]


async def test_the_limit_of_tokens_holds_over_all_rounds() -> None:
    call: list[Step] = [
        ToolCall(call_id="c", name="get_time", arguments="{}"),
        ReplyEnd(finish="tool_calls", output_tokens=3),
    ]
    asking = Asking(FakeLlm(call, says("It is noon.")))
    await asking.ask(max_output_tokens=10)
    assert asking.llm.limits == [10, 7]
    asking = Asking(FakeLlm(call, says("It is noon.")))
    answered = await asking.ask(max_output_tokens=3)
    assert (answered.finish, asking.said) == ("length", [])


async def test_a_model_that_only_calls_is_stopped() -> None:
    asking = Asking(FakeLlm(calls("get_time")))
    with pytest.raises(EngineFailed):
        await asking.ask()
    assert len(asking.llm.asked) == MOST_TOOL_ROUNDS


async def test_cancelling_stops_the_engine() -> None:
    asking = Asking(FakeLlm([TextDelta("It"), 1_000.0]))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asking.ask)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert asking.said == ["It"]
    assert asking.llm.left == ["cancelled"]
