"""Reading ahead: what the model is given before it is to answer, and when it is let be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tests.realtime.fakes import FakeLlm, FakeStt, Talk, says, silence, speech, talking
from voiced.engines.ports import PREFILL, EngineInfo, Priority, ReplyEnd, TextDelta
from voiced.errors import EngineBusy
from voiced.settings import Llm, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trio.testing import MockClock

READ_S = 2.0


class ReadingLlm(FakeLlm):
    """Takes `READ_S` to read, and tells what it read and how that ended."""

    info = EngineInfo(kind="llm", name="fake", version="1", capabilities=(PREFILL,))

    def __init__(self, *scripts: Any, error: Exception | None = None) -> None:  # noqa: ANN401
        super().__init__(*scripts)
        self.read: list[list[Mapping[str, Any]]] = []
        self.tools: list[list[str]] = []
        self.whole = 0
        self.priorities: set[Priority] = set()
        self.error = error

    async def prefill(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        priority: Priority = Priority.SPECULATION,
    ) -> None:
        self.read.append(list(messages))
        self.tools.append([str(tool["name"]) for tool in tools])
        self.priorities.add(priority)
        if self.error is not None:
            raise self.error
        await trio.sleep(READ_S)
        self.whole += 1

    def said(self, index: int = -1) -> list[str]:
        return [str(message["content"]) for message in self.read[index][1:]]


async def answered(talk: Talk, text: str) -> None:
    talk.type_in(text)
    await talk.until("response.done")


async def test_instructions_and_tools_are_read_at_the_start(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with talking(llm=llm):
        await trio.sleep(READ_S + 1)
    assert llm.whole == 1
    assert [message["role"] for message in llm.read[0]] == ["system"]
    assert llm.tools[0] == ["get_time"]
    assert llm.priorities == {Priority.SPECULATION}


async def test_new_instructions_are_read_in_place_of_the_old(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with talking(llm=llm) as talk:
        await trio.sleep(READ_S / 2)
        talk.configure(instructions="Speak like a pirate.")
        await trio.sleep(READ_S + 1)
    assert llm.whole == 1  # the first was stopped half-way
    assert llm.read[-1][0]["content"] == "Speak like a pirate."


async def test_what_is_read_is_what_an_answer_will_be_asked_with(autojump_clock: MockClock) -> None:
    llm = ReadingLlm(says("It is noon."), says("It is one."))
    async with talking(llm=llm) as talk:
        await answered(talk, "What time is it?")
        await trio.sleep(READ_S + 1)
        assert llm.said() == ["What time is it?", "It is noon."]
        read, tools = llm.read[-1], llm.tools[-1]
        await answered(talk, "And now?")
        *before, last = llm.asked[-1]
        assert last["content"] == "And now?"
        assert before == read
        assert llm.offered[-1] == tools


async def test_nothing_is_read_while_an_answer_is_made(autojump_clock: MockClock) -> None:
    llm = ReadingLlm([5.0, *says("At last.")])
    async with talking(llm=llm) as talk:
        talk.type_in("Hello.")
        await trio.sleep(1)
        reads = len(llm.read)
        await trio.sleep(3.5)
        assert len(llm.read) == reads
        assert llm.whole == 0  # the reading of the start gave way
        await talk.until("response.done")
        await trio.sleep(READ_S + 1)
    assert llm.said() == ["Hello.", "At last."]
    assert llm.whole == 1


async def test_when_somebody_begins_to_speak_it_is_read_again(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with talking(llm=llm, stt=FakeStt(delay_s=9.0)) as talk:
        await trio.sleep(READ_S + 1)
        await talk.hear(speech(600))
        await talk.until("input_audio_buffer.speech_started")
        await trio.sleep(0.1)
        assert len(llm.read) == 2
        await talk.hear(silence(800))
        await talk.until("input_audio_buffer.committed")
        await trio.sleep(READ_S + 1)
        assert llm.whole == 2  # it went on while the words were being recognised
        assert llm.read[1] == llm.read[0]


async def test_a_busy_engine_is_let_be(autojump_clock: MockClock) -> None:
    llm = ReadingLlm(error=EngineBusy("full"))
    async with talking(llm=llm) as talk:
        await answered(talk, "Hello.")
        assert talk.events[-1]["response"]["status"] == "completed"


async def test_it_can_be_turned_off(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    async with talking(llm=llm, settings=Settings(llm=Llm(prefill=False))) as talk:
        await answered(talk, "Hello.")
        await trio.sleep(READ_S + 1)
    assert llm.read == []


class SmallLlm(ReadingLlm):
    """Its context is full after a few turns."""

    info = EngineInfo(
        kind="llm", name="fake", version="1", capabilities=(PREFILL,), context_tokens=100
    )


def full(text: str) -> list[Any]:
    return [TextDelta(text), ReplyEnd(finish="stop", input_tokens=80, output_tokens=5)]


async def test_a_full_context_is_summed_up_between_turns(autojump_clock: MockClock) -> None:
    short = [says(f"Answer {number}.") for number in range(4)]
    llm = SmallLlm(*short, full("Answer 4."), says("They counted to four."), says("Well."))
    async with talking(llm=llm) as talk:
        for number in range(5):
            await answered(talk, f"Question {number}?")
            await trio.sleep(READ_S + 1)
        asked = llm.asked[5]
        assert "Sum it up" in asked[0]["content"]
        assert "user: Question 0?" in asked[1]["content"]
        assert "Question 4" not in asked[1]["content"]
        # what is read next begins with the summary, and so does the next answer
        assert "They counted to four." in llm.read[-1][0]["content"]
        await answered(talk, "And now?")
        texts = [str(message["content"]) for message in llm.asked[-1]]
        assert "They counted to four." in texts[0]
        assert "Question 0?" not in texts
        assert texts[-3:] == ["Question 4?", "Answer 4.", "And now?"]
    assert llm.left.count("failed") == 0


async def test_a_new_question_goes_before_the_summary(autojump_clock: MockClock) -> None:
    short = [says(f"Answer {number}.") for number in range(4)]
    slow = [30.0, *says("Too late.")]
    llm = SmallLlm(*short, full("Answer 4."), slow, says("Here I am."))
    async with talking(llm=llm) as talk:
        for number in range(5):
            await answered(talk, f"Question {number}?")
        await trio.sleep(1)
        began = trio.current_time()
        await answered(talk, "And now?")
        assert trio.current_time() - began < 5
        assert "cancelled" in llm.left
