"""Reading along: what somebody has said so far, read while they speak on."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from msgspec import structs

from tests.realtime.fakes import (
    EarlyStt,
    FakeLlm,
    FakeStt,
    FakeToolbox,
    Talk,
    says,
    silence,
    speech,
    talking,
)
from tests.realtime.reading_llm import READ_S, ReadingLlm, conversation
from voiced.conversation import inputs as inp
from voiced.conversation.core import step
from voiced.engines.ports import PREFILL, EngineInfo, Partial, Priority
from voiced.errors import TooHot
from voiced.realtime.ahead import Ahead
from voiced.realtime.detections import own_detections
from voiced.settings import Llm, Settings, TurnDetection
from voiced.thermal.heat import Heat
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trio.testing import MockClock

    from voiced.conversation.state import State
    from voiced.tools.toolbox import Toolbox

FIRST = "turn on the lamp"
MORE = "turn on the lamp in the kitchen"
MOST = "turn on the lamp in the kitchen and the one in the hall"

CREATE = own_detections(Settings()).server
"""Turn detection that has every turn answered."""


# -- the reader, on its own --------------------------------------------------------------------


@asynccontextmanager
async def reading(
    llm: ReadingLlm, apply: Callable[[inp.Input], None] = lambda _: None
) -> AsyncIterator[Ahead]:
    ahead = Ahead(llm, cast("Toolbox", FakeToolbox()), apply, reads=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ahead.run)
        yield ahead
        nursery.cancel_scope.cancel(reason="the test is over")


def speaking(before: State | None = None) -> State:
    """A conversation of two turns, and somebody who speaks."""
    state, _ = step(before or conversation(2, CREATE), inp.SpeechStarted(0))
    assert state.speech_item is not None
    return state


def after(state: State, *events: inp.Input) -> State:
    for event in events:
        state, _ = step(state, event)
    return state


async def test_the_words_are_read_behind_the_conversation(autojump_clock: MockClock) -> None:
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(READ_S + 1)
        ahead.hear(state, FIRST)
        await trio.sleep(READ_S + 1)
    assert [message["content"] for message in llm.read[0][-2:]] == ["Words 0.", "Words 1."]
    assert llm.read[1][:-1] == llm.read[0]
    assert llm.read[1][-1] == {"role": "user", "content": FIRST}
    assert llm.priorities == {Priority.SPECULATION}


async def test_of_what_is_heard_meanwhile_only_the_newest_is_read(
    autojump_clock: MockClock,
) -> None:
    """What is being read is the beginning of it, and goes on."""
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(READ_S / 2)
        for words in (FIRST, MORE, MOST):
            ahead.hear(state, words)
            await trio.sleep(READ_S / 8)
        await trio.sleep(3 * READ_S)
    assert [read[-1]["content"] for read in llm.read] == ["Words 1.", MOST]
    assert (llm.whole, llm.most_at_once) == (2, 1)


async def test_few_words_are_not_read_for_themselves(autojump_clock: MockClock) -> None:
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        for words in ("turn on", FIRST, FIRST, f"{FIRST} in", "turn on", "turn on", MORE, MORE):
            ahead.hear(state, words)
            await trio.sleep(READ_S + 1)
    assert [read[-1]["content"] for read in llm.read] == ["Words 1.", FIRST, MORE]


async def test_words_that_turn_out_otherwise_are_read_again(autojump_clock: MockClock) -> None:
    llm, state = ReadingLlm(), speaking()
    other = "turn up the lamps, all of them"
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        for words in (MORE, other):
            ahead.hear(state, words)
            await trio.sleep(2 * READ_S + 1)
    assert [read[-1]["content"] for read in llm.read] == [MORE, other]


async def test_the_end_of_the_turn_stops_nothing_and_nothing_is_read_twice(
    autojump_clock: MockClock,
) -> None:
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(READ_S + 1)
        ahead.hear(state, MORE)
        await trio.sleep(READ_S / 2)
        over = after(state, inp.SpeechStopped(900))
        assert over.entries[-1].transcribing
        ahead.look(over)
        await trio.sleep(READ_S + 1)
        assert (len(llm.read), llm.whole) == (2, 2)
        item_id = over.entries[-1].item.id
        ahead.look(after(over, inp.TranscriptReady(item_id=item_id, text=MORE, duration_s=0.9)))
        await trio.sleep(READ_S + 1)
    assert len(llm.read) == 2


async def test_of_speech_that_was_none_nothing_is_left(autojump_clock: MockClock) -> None:
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(READ_S + 1)
        ahead.hear(state, MORE)
        await trio.sleep(READ_S / 2)
        cleared = after(state, inp.ClearAudio())
        ahead.look(cleared)
        await trio.sleep(READ_S + 1)
        assert (len(llm.read), llm.whole) == (3, 2)  # the words were being read
        assert llm.read[2] == llm.read[0]
        again = speaking(cleared)
        ahead.look(again, speaking=True)
        await trio.sleep(READ_S + 1)
        assert llm.read[3] == llm.read[0]
        ahead.hear(again, FIRST)
        await trio.sleep(READ_S + 1)
    assert llm.read[4][-1]["content"] == FIRST


def not_answered(state: State) -> State:
    return speaking(conversation(2, structs.replace(CREATE, create_response=False)))


def nobody_speaks(state: State) -> State:
    return after(state, inp.ClearAudio())


def words_to_come(state: State) -> State:
    """Those of the turn before stand in front, and are not known."""
    return after(state, inp.SpeechStopped(900), inp.SpeechStarted(1200))


def something_to_say(state: State) -> State:
    """A timer that is over is told of first."""
    return after(state, inp.Announce("The timer is over."))


def begun_in_advance(state: State) -> State:
    foreseen = after(structs.replace(state, foresees=True), inp.TurnGuessed(revision=1, text=MORE))
    assert foreseen.prepared is not None
    return foreseen


@pytest.mark.parametrize(
    "changed", [not_answered, nobody_speaks, words_to_come, something_to_say, begun_in_advance]
)
async def test_words_are_not_read_that_the_next_answer_does_not_begin_with(
    changed: Callable[[State], State], autojump_clock: MockClock
) -> None:
    llm, state = ReadingLlm(), changed(speaking())
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        ahead.hear(state, MORE)
        await trio.sleep(3 * READ_S)
    assert all(read[-1]["content"] != MORE for read in llm.read)


@pytest.mark.parametrize(
    ("level", "reads"),
    [(Level.UNKNOWN, True), (Level.NORMAL, True), (Level.WARM, False), (Level.CRITICAL, False)],
)
async def test_while_it_is_warm_words_are_not_read_in_pieces(
    level: Level, reads: bool, autojump_clock: MockClock
) -> None:
    llm, state = ReadingLlm(), speaking()
    async with reading(llm) as ahead:
        ahead.follow_heat(level)
        ahead.look(state, speaking=True)
        ahead.hear(state, MORE)
        await trio.sleep(3 * READ_S)
    assert any(read[-1]["content"] == MORE for read in llm.read) is reads


async def test_words_heard_beside_another_answer_are_read_behind_it(
    autojump_clock: MockClock,
) -> None:
    llm, state = ReadingLlm(), speaking()
    beside = after(state, inp.CreateResponse(overrides={"conversation": "none"}))
    async with reading(llm) as ahead:
        ahead.look(beside)
        ahead.hear(beside, MORE)
        await trio.sleep(READ_S + 1)
        assert llm.read == []
        ahead.look(state)
        await trio.sleep(READ_S + 1)
    assert [read[-1]["content"] for read in llm.read] == [MORE]


async def test_an_engine_that_refuses_is_asked_again_with_the_next_words(
    autojump_clock: MockClock,
) -> None:
    llm, state = ReadingLlm(error=TooHot("too hot")), speaking()
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(1)
        ahead.hear(state, FIRST)
        await trio.sleep(1)
        llm.error = None
        ahead.hear(state, MORE)
        await trio.sleep(READ_S + 1)
    assert [read[-1]["content"] for read in llm.read] == ["Words 1.", FIRST, MORE]
    assert llm.whole == 1


class SmallLlm(ReadingLlm):
    """Its context has as good as no room left."""

    info = structs.replace(ReadingLlm.info, context_tokens=100)


async def test_a_full_context_is_summed_up_once_the_turn_is_answered(
    autojump_clock: MockClock,
) -> None:
    llm, state = SmallLlm(says("They counted.")), speaking(conversation(12, CREATE))
    async with reading(llm) as ahead:
        ahead.look(state, speaking=True)
        await trio.sleep(READ_S + 1)
        llm.tokens = 90
        ahead.hear(state, MORE)
        await trio.sleep(READ_S + 1)
        ahead.hear(state, MOST)
        await trio.sleep(READ_S + 1)
        assert [read[-1]["content"] for read in llm.read] == ["Words 11.", MORE, MOST]
        assert llm.asked == []
        ahead.look(after(state, inp.ClearAudio()))
        await trio.sleep(READ_S + 1)
    assert llm.asked_at == [Priority.JOB]


async def test_a_summary_is_finished_before_the_words_are_read(autojump_clock: MockClock) -> None:
    llm, state = SmallLlm([3.0, *says("They counted.")]), speaking(conversation(12, CREATE))

    def apply(event: inp.Input) -> None:
        ahead.look(after(state, event))

    async with reading(llm, apply) as ahead:
        ahead.used_tokens = 90
        ahead.look(state, speaking=True)
        await trio.sleep(1)
        ahead.hear(state, MORE)
        await trio.sleep(1)
        assert llm.read == []
        await trio.sleep(READ_S + 2)
    assert llm.left == ["done"]
    (read,) = llm.read
    assert "They counted." in read[0]["content"]
    assert read[-1]["content"] == MORE


# -- the session -------------------------------------------------------------------------------


async def speak(talk: Talk, *parts: bytes) -> None:
    await trio.sleep(READ_S + 1)
    for part in parts:
        await talk.hear(part)
    await trio.sleep(2 * READ_S)


async def test_what_was_said_before_a_pause_is_read_in_it(autojump_clock: MockClock) -> None:
    llm, stt = ReadingLlm(says("Done.")), EarlyStt(MOST, partials=[MORE])
    async with talking(llm=llm, stt=stt) as talk:
        await speak(talk, silence(300), speech(600), silence(100), speech(300))
        assert llm.read[-1][-1] == {"role": "user", "content": MORE}
        assert "item" not in str(talk.events[1:])  # nothing of it is told
        reads = len(llm.read)
        await speak(talk, silence(600))
        await talk.until("response.done")
        # and then the conversation with the answer, as ever
        assert [read[-1]["role"] for read in llm.read[reads:]] == ["assistant"]
        (asked,) = llm.asked
        assert asked[:-1] == llm.read[reads - 1][:-1]
        assert asked[-1]["content"] == MOST
    assert llm.priorities == {Priority.SPECULATION}


class SlowlyTold(EarlyStt):
    """Answers when its speaker has gone on already."""

    answer_s = 0.3


async def test_while_somebody_speaks_on_only_what_is_stable_is_read(
    autojump_clock: MockClock,
) -> None:
    llm = ReadingLlm()
    partials = [Partial(text=MORE), Partial(text=f"{MORE} and", stable=FIRST)]
    async with talking(llm=llm, stt=SlowlyTold(MOST, partials=partials)) as talk:
        await speak(talk, silence(300), speech(600), silence(100), speech(600))
        assert llm.read[-1][-1]["role"] == "system"
        await speak(talk, speech(600), silence(100), speech(600))
        assert llm.read[-1][-1] == {"role": "user", "content": FIRST}


async def test_who_speaks_on_without_a_pause_is_read_along(autojump_clock: MockClock) -> None:
    llm = ReadingLlm()
    partials = [Partial(text=FIRST), Partial(text=f"{MORE} and", stable=MORE)]
    async with talking(llm=llm, stt=EarlyStt(MOST, partials=partials)) as talk:
        await speak(talk, silence(300), speech(1500))
        assert llm.read[-1][-1]["role"] == "system"
        await speak(talk, speech(1000))
        assert llm.read[-1][-1] == {"role": "user", "content": MORE}


@pytest.mark.parametrize(
    ("make_llm", "level", "asks"),
    [
        (ReadingLlm, Level.NORMAL, True),
        (ReadingLlm, Level.WARM, False),
        (FakeLlm, Level.NORMAL, False),
    ],
)
async def test_nobody_is_asked_in_passing_for_nothing(
    make_llm: type[FakeLlm], level: Level, asks: bool, autojump_clock: MockClock
) -> None:
    heat, stt = Heat(), EarlyStt(MOST, partials=[MORE])
    heat.tell(level, 70.0, "test", ())
    async with talking(llm=make_llm(), stt=stt, heat=heat) as talk:
        await speak(talk, silence(300), speech(2500))
        assert (stt.questions > 0) is asks


@pytest.mark.parametrize("answers", [True, False])
async def test_an_answer_in_advance_reads_the_words_itself(
    answers: bool, autojump_clock: MockClock
) -> None:
    turns = TurnDetection(silence_duration_ms=9000, speculate_ms=100, speculate_answer=answers)
    llm, stt = ReadingLlm([30.0, *says("Done.")]), FakeStt(MORE, partials=[MORE])
    async with talking(
        llm=llm, stt=stt, settings=structs.replace(Settings(), turn_detection=turns)
    ) as talk:
        await speak(talk, silence(300), speech(600), silence(400))
        assert llm.asked_at == [Priority.SPECULATION] * answers
        assert [read[-1]["content"] for read in llm.read[2:]] == [MORE] * (not answers)


@pytest.mark.parametrize("off", ["nothing", "setting", "heat", "capability", "port"])
async def test_it_is_read_where_that_is_wanted_and_possible(
    off: str, autojump_clock: MockClock
) -> None:
    heat, llm = Heat(), ReadingLlm()
    settings = structs.replace(Settings(), llm=Llm(prefill=off != "setting"))
    if off == "heat":
        heat.tell(Level.WARM, 76.0, "zone", ("the processor is at 76 °C",))
    elif off == "capability":
        llm.info = structs.replace(llm.info, capabilities=())
    stt = EarlyStt(MORE, partials=[MORE])
    asked: Any = FakeLlm() if off == "port" else llm
    if off == "port":
        asked.info = EngineInfo(kind="llm", name="fake", version="1", capabilities=(PREFILL,))
    async with talking(llm=asked, stt=stt, settings=settings, heat=heat) as talk:
        await speak(talk, silence(300), speech(600), silence(100), speech(2500), silence(600))
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
    assert any(read[-1]["content"] == MORE for read in llm.read) is (off == "nothing")
