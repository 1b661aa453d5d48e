"""Reading ahead: what the model is given before it is to answer, and when it is let be."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio
import trio.testing
from structlog.testing import capture_logs

from tests.realtime.fakes import (
    FakeStt,
    FakeToolbox,
    Script,
    Talk,
    says,
    silence,
    speech,
    talking,
)
from tests.realtime.reading_llm import READ_S, ReadingLlm, conversation
from voiced.conversation import inputs as inp
from voiced.conversation.core import step
from voiced.engines.ports import PREFILL, EngineInfo, Priority, ReplyEnd, TextDelta
from voiced.errors import ContextExceeded, EngineBusy, EngineFailed
from voiced.realtime.ahead import Ahead
from voiced.settings import Llm, Settings
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from voiced.tools.toolbox import Toolbox


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


async def test_who_may_call_no_tools_is_read_ahead_for_without_them(
    autojump_clock: MockClock,
) -> None:
    """The question tells the model of none, and what differs at the head is read for nothing."""
    llm = ReadingLlm()
    async with talking(llm=llm) as talk:
        talk.configure(tool_choice="none")
        await trio.sleep(2 * READ_S + 1)
    assert llm.tools[-1] == []


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


async def test_a_summary_goes_on_while_somebody_begins_to_speak(autojump_clock: MockClock) -> None:
    short = [says(f"Answer {number}.") for number in range(4)]
    slow = [4.0, *says("They counted to four.")]
    llm = SmallLlm(*short, full("Answer 4."), slow, says("Well."))
    async with talking(llm=llm) as talk:
        for number in range(5):
            await answered(talk, f"Question {number}?")
        await trio.sleep(1)
        await talk.hear(speech(600))
        await talk.until("input_audio_buffer.speech_started")
        await trio.sleep(READ_S + 4)
        assert "They counted to four." in llm.read[-1][0]["content"]
    assert "cancelled" not in llm.left


async def test_who_comes_back_full_of_words_is_summed_up_before_an_answer(
    autojump_clock: MockClock,
) -> None:
    """Reading tells how long the conversation is, so that nobody has to have been answered."""
    llm = SmallLlm(says("They counted to four."))
    llm.tokens = 90
    async with talking(llm=llm) as talk:
        for number in range(10):
            role, kind = (("user", "input_text"), ("assistant", "output_text"))[number % 2]
            content = [{"type": kind, "text": f"Words {number}."}]
            item = {"type": "message", "role": role, "content": content}
            talk.send("conversation.item.create", item=item)
        await trio.sleep(READ_S + 1)
        llm.tokens = 30
        await trio.sleep(READ_S + 1)
    assert [priority.name for priority in llm.asked_at] == ["JOB"]
    assert "They counted to four." in llm.read[-1][0]["content"]


async def test_turns_that_have_no_room_at_once_are_summed_up_by_and_by(
    autojump_clock: MockClock,
) -> None:
    short = [says(f"Answer {number}.") for number in range(9)]
    too_long: list[Any] = [ContextExceeded("too long")]
    llm = SmallLlm(*short, full("Answer 9."), too_long, too_long, says("In short."), says("Well."))
    async with talking(llm=llm) as talk:
        for number in range(10):
            await answered(talk, f"Question {number}?")
            await trio.sleep(READ_S + 1)
        lengths = [len(asked[1]["content"].splitlines()) for asked in llm.asked[10:]]
        assert len(lengths) == 3
        assert lengths[0] > lengths[1] > lengths[2] >= 2
        assert all(asked[1]["content"].startswith("user: Question 0?") for asked in llm.asked[10:])
        # What was summed up is exactly what was asked about.
        texts = [message["content"] for message in llm.read[-1]]
        assert f"Question {lengths[2] // 2}?" in texts
        assert f"Question {lengths[2] // 2 - 1}?" not in texts


async def test_a_summary_that_fails_is_told_once_and_reading_goes_on(
    autojump_clock: MockClock,
) -> None:
    short = [says(f"Answer {number}.") for number in range(4)]
    fails: list[Any] = [EngineFailed("no")]
    script = [*short, full("Answer 4."), fails, full("Answer 5."), says(""), full("Answer 6.")]
    llm = SmallLlm(*script, says("They counted to six."))
    with capture_logs() as logs:
        async with talking(llm=llm) as talk:
            for number in range(7):
                await answered(talk, f"Question {number}?")
                await trio.sleep(READ_S + 1)
            assert "They counted to six." in llm.read[-1][0]["content"]
            reads = [said for said in map(llm.said, range(len(llm.read))) if said]
            assert reads[-2][-1] == "Answer 5."
    told = [log for log in logs if "could not sum up" in log["event"]]
    assert [log["reason"] for log in told] == ["no"]


async def test_who_leaves_no_time_for_a_summary_gets_smaller_ones(
    autojump_clock: MockClock,
) -> None:
    short = [says(f"Answer {number}.") for number in range(9)]
    slow = [30.0, *says("Too late.")]
    script = [*short, full("Answer 9."), slow, full("Answer 10."), slow, full("Answer 11.")]
    llm = SmallLlm(*script, says("In short."))
    async with talking(llm=llm) as talk:
        for number in range(12):
            await answered(talk, f"Question {number}?")
            await trio.sleep(1)
        await trio.sleep(READ_S + 1)
    sums = [a for a, p in zip(llm.asked, llm.asked_at, strict=True) if p is Priority.JOB]
    lengths = [len(asked[1]["content"].splitlines()) for asked in sums]
    assert len(lengths) == 3
    assert lengths[0] > lengths[1] > lengths[2]
    assert "In short." in llm.read[-1][0]["content"]


async def test_while_it_is_hot_nothing_is_summed_up_and_it_is_said() -> None:
    applied: list[inp.Input] = []
    llm = SmallLlm(says("They counted."))
    ahead = Ahead(llm, cast("Toolbox", FakeToolbox()), applied.append, reads=False)
    ahead.used_tokens = 90
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        ahead.follow_heat(Level.HOT)
        with capture_logs() as logs:
            for count in (12, 14):
                ahead.look(conversation(count))
                await trio.testing.wait_all_tasks_blocked()
        assert [log["reason"] for log in logs] == ["the processor is hot"]
        assert llm.asked == []
        ahead.follow_heat(Level.WARM)
        ahead.look(conversation(16))
        await trio.testing.wait_all_tasks_blocked()
        assert len(applied) == 1
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_summary_of_what_was_deleted_meanwhile_is_dropped() -> None:
    """Also where the last word of it is there already and only was not looked at yet."""
    applied: list[inp.Input] = []
    state = conversation(12)
    after, _ = step(state, inp.DeleteItem(item_id=state.entries[0].item.id))

    class Deleting(SmallLlm):
        @asynccontextmanager
        async def reply(self, *_: object, **__: object) -> AsyncIterator[Any]:
            yield Script(says("They counted."))
            if not applied:
                ahead.look(after)

    llm = Deleting()
    ahead = Ahead(llm, cast("Toolbox", FakeToolbox()), applied.append, reads=False)
    ahead.used_tokens = 90
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        ahead.look(state)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="the test is over")
    ids = {item_id for event in applied for item_id in getattr(event, "item_ids", ())}
    assert state.entries[0].item.id not in ids
