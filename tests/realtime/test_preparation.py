"""A reply of the model that is begun in advance: how much of it is kept, and what it answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing
from msgspec import structs

from tests.realtime.fakes import FakeLlm, FakeToolbox, says
from voiced.engines.ports import EngineInfo, ReplyEnd, TextDelta, Transcript
from voiced.realtime.early import Early
from voiced.realtime.preparation import MOST_CHARACTERS, Preparation
from voiced.tools.rounds import Question, offered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from voiced.engines.ports import Stt

ASKED = Question(messages=({"role": "user", "content": "what time is it"},), tools=())


def prepared(llm: FakeLlm, question: Question = ASKED) -> Preparation:
    return Preparation(question, llm, FakeToolbox())  # type: ignore[arg-type]  # all that is used


async def test_an_endless_answer_waits_until_it_is_wanted(autojump_clock: MockClock) -> None:
    said = ["x" * 1000] * 40
    begun = prepared(FakeLlm(says(*said)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(begun.run)
        await trio.testing.wait_all_tasks_blocked()
        kept = sum(len(part.text) for part in begun._parts if isinstance(part, TextDelta))
        assert MOST_CHARACTERS < kept <= MOST_CHARACTERS + 1000
        begun.take()
        parts = []
        while (part := await begun.next()) is not None:
            parts.append(part)
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == "".join(said)
    assert isinstance(parts[-1], ReplyEnd)


async def test_an_endless_answer_that_nobody_wants_ends(autojump_clock: MockClock) -> None:
    llm = FakeLlm(says(*["x" * 1000] * 40))
    begun = prepared(llm)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(begun.run)
        await trio.testing.wait_all_tasks_blocked()
        begun.drop("the turn goes on")
        begun.drop("twice is fine")
    assert llm.left == ["cancelled"]


@pytest.mark.parametrize(
    "change",
    [
        {"tool_choice": "none"},
        {"max_output_tokens": 7},
        {"messages": ({"role": "user", "content": "what time was it"},)},
    ],
)
def test_it_answers_its_own_question_alone(change: dict[str, Any]) -> None:
    begun = prepared(FakeLlm())
    for question, same in ((ASKED, True), (structs.replace(ASKED, **change), False)):
        tools = offered(question, FakeToolbox())  # type: ignore[arg-type]
        limit = question.max_output_tokens
        assert begun.answers(question.messages, tools, question.tool_choice, limit) is same
    tools = [{"name": "get_weather"}]
    assert not begun.answers(ASKED.messages, tools, ASKED.tool_choice, ASKED.max_output_tokens)


class LingeringStt:
    """Its words are there, and leaving it takes until one is let go."""

    info = EngineInfo(kind="stt", name="fake", version="1")

    def __init__(self) -> None:
        self.heard = trio.Event()

    @asynccontextmanager
    async def transcribe(self, **_: object) -> AsyncIterator[LingeringStt]:
        yield self
        self.heard.set()
        await trio.sleep_forever()

    async def feed(self, pcm: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def finish(self) -> Transcript:
        await trio.lowlevel.checkpoint()
        return Transcript(text="what time")


async def test_an_early_transcript_that_was_dropped_is_told_to_nobody() -> None:
    """Also where it is there already when somebody goes on."""
    told: list[str] = []
    stt, early = LingeringStt(), Early([b"\0\0"], told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(early.run, cast("Stt", stt), "en", "")
        await stt.heard.wait()
        early.drop()
    assert await early.result() is None
    assert told == []
