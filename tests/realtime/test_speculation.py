"""Work that is done in advance: a turn transcribed and answered before it is known to be over.

On a clock of its own; a turn ends by 800 ms of silence here, and after 100 ms of it one guesses.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from msgspec import structs

from tests.realtime.fakes import (
    FakeLlm,
    FakeStt,
    FakeToolbox,
    FakeUtterance,
    Talk,
    calls,
    says,
    silence,
    speech,
    talking,
)
from voiced.engines.failover import FailoverLlm, Member, Order
from voiced.engines.ports import EngineInfo, Priority, TextDelta
from voiced.errors import EngineCrashed, EngineFailed, EnginePreempted, TooHot
from voiced.settings import Settings, TurnDetection
from voiced.thermal.heat import Heat, Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from voiced.engines.ports import Llm, Partial, ReplyPart, Utterance

NOON = "what time is it"


def foreseeing(*, answer: bool = True) -> Settings:
    turns = TurnDetection(silence_duration_ms=800, speculate_ms=100, speculate_answer=answer)
    return structs.replace(Settings(), turn_detection=turns)


class BusyStt(FakeStt):
    """One that tells nothing before the end, and works on many utterances at once."""

    info = EngineInfo(kind="stt", name="fake", version="1", concurrency=16)


class SlowToSay(BusyStt):
    """Another such, whose first answer to what was heard so far is late, and none."""

    @asynccontextmanager
    async def transcribe(self, **asked: Any) -> AsyncIterator[Utterance]:  # noqa: ANN401
        async with super().transcribe(**asked):
            yield SlowUtterance(self)


class SlowUtterance(FakeUtterance):
    async def answer(self) -> Partial | None:
        if self._owner.questions > 1:
            return await super().answer()
        await trio.sleep(0.25)
        raise EngineFailed("not now")


async def turn(talk: Talk, *parts: bytes) -> dict[str, Any]:
    """Say this, and wait for its response; in writing, so that no voice takes time."""
    talk.configure(output_modalities=["text"])
    for part in parts:
        await talk.hear(part)
    response: dict[str, Any] = (await talk.until("response.done"))["response"]
    return response


def text_of(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] for part in item["content"])


async def test_an_answer_is_there_when_the_turn_ends(autojump_clock: MockClock) -> None:
    """The model takes 400 ms, and nobody waits for it."""
    took = []
    for settings in (Settings(), foreseeing()):
        turns = structs.replace(settings.turn_detection, silence_duration_ms=800)
        stt, llm = FakeStt(NOON, partials=[NOON]), FakeLlm([0.4, *says("It is noon.")])
        async with talking(
            stt=stt, llm=llm, settings=structs.replace(settings, turn_detection=turns)
        ) as talk:
            response = await turn(talk, silence(300), speech(600), silence(1000))
            assert text_of(response) == "It is noon."
            took.append(response["voiced"]["timing_ms"]["llm_first_text"])
        assert len(llm.asked) == 1
        assert llm.left == ["done"]
    assert took[0] == pytest.approx(400, abs=1)
    assert took[1] < 10
    assert llm.asked_at == [Priority.SPECULATION]


async def test_who_goes_on_speaking_is_answered_to_what_was_said_in_the_end(
    autojump_clock: MockClock,
) -> None:
    whole = "what time is it in rome"
    stt = FakeStt(whole, partials=[NOON, whole])
    llm = FakeLlm([5.0, *says("It is noon.")], says("It is one."))
    async with talking(stt=stt, llm=llm, settings=foreseeing()) as talk:
        response = await turn(
            talk, silence(300), speech(600), silence(300), speech(600), silence(1000)
        )
        assert text_of(response) == "It is one."
        assert "It is noon." not in str(talk.events)
    assert [asked[-1]["content"] for asked in llm.asked] == [NOON, whole]
    assert llm.left == ["cancelled", "done"]
    assert llm.open == stt.open == 0


async def test_another_transcript_is_another_question(autojump_clock: MockClock) -> None:
    stt = FakeStt("what day is it", partials=[NOON])
    llm = FakeLlm([5.0, *says("It is noon.")], says("It is Monday."))
    async with talking(stt=stt, llm=llm, settings=foreseeing()) as talk:
        assert text_of(await turn(talk, silence(300), speech(600), silence(1000))) == (
            "It is Monday."
        )
    assert llm.left == ["cancelled", "done"]


async def test_a_tool_runs_only_when_its_turn_is_over(autojump_clock: MockClock) -> None:
    stt = FakeStt("what day is it", partials=[NOON])
    llm = FakeLlm(calls("get_time"), calls("get_date"), says("It is Monday."))
    toolbox = FakeToolbox()
    async with talking(stt=stt, llm=llm, toolbox=toolbox, settings=foreseeing()) as talk:
        await turn(talk, silence(300), speech(600), silence(1000))
    # The model asked for the time in advance; only what it asked for in the end was done.
    assert toolbox.called == ["get_date"]

    stt = FakeStt(NOON, partials=[NOON])
    llm = FakeLlm(calls("get_time"), says("It is noon."))
    toolbox = FakeToolbox()
    async with talking(stt=stt, llm=llm, toolbox=toolbox, settings=foreseeing()) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert text_of(response) == "It is noon."
    assert toolbox.called == ["get_time"]
    assert llm.asked_at == [Priority.SPECULATION, Priority.CONVERSATION]


async def test_a_turn_that_is_cleared_is_answered_by_nobody(autojump_clock: MockClock) -> None:
    llm = FakeLlm([5.0, *says("It is noon.")])
    async with talking(stt=FakeStt(NOON, partials=[NOON]), llm=llm, settings=foreseeing()) as talk:
        await talk.hear(silence(300))
        await talk.hear(speech(600))
        await talk.hear(silence(400))
        assert llm.open == 1
        talk.send("input_audio_buffer.clear")
        await talk.rest()
        assert llm.left == ["cancelled"]


@pytest.mark.parametrize("error", [EnginePreempted("needed"), EngineCrashed("it died")])
async def test_what_fails_before_its_first_word_is_asked_again(
    error: Exception, autojump_clock: MockClock
) -> None:
    llm = FakeLlm([error], says("It is noon."))
    async with talking(stt=FakeStt(NOON, partials=[NOON]), llm=llm, settings=foreseeing()) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert text_of(response) == "It is noon."
    assert llm.asked_at == [Priority.SPECULATION, Priority.CONVERSATION]


@pytest.mark.parametrize("error", [EnginePreempted("needed"), TooHot("too hot")])
async def test_what_was_taken_away_after_its_first_word_is_asked_again(
    error: Exception, autojump_clock: MockClock
) -> None:
    """Nobody has heard that word yet."""
    llm = FakeLlm([TextDelta("It is"), error], says("It is noon."))
    async with talking(stt=FakeStt(NOON, partials=[NOON]), llm=llm, settings=foreseeing()) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert text_of(response) == "It is noon."
    assert llm.asked_at == [Priority.SPECULATION, Priority.CONVERSATION]


async def test_what_fails_after_its_first_word_fails(autojump_clock: MockClock) -> None:
    llm = FakeLlm([TextDelta("It is"), EngineFailed("it broke off", public="it broke off")])
    async with talking(stt=FakeStt(NOON, partials=[NOON]), llm=llm, settings=foreseeing()) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert response["status"] == "failed"
        assert response["status_details"]["error"]["message"] == "it broke off"
    assert len(llm.asked) == 1


@pytest.mark.parametrize(
    ("settings", "cool"), [(foreseeing(), False), (foreseeing(answer=False), True)]
)
async def test_nothing_is_answered_in_advance_when_warm_or_not_wanted(
    settings: Settings, cool: bool, autojump_clock: MockClock
) -> None:
    stt, llm = FakeStt(NOON, partials=[NOON]), FakeLlm(says("It is noon."))
    heat = Heat()
    if not cool:
        heat.tell(Level.WARM, 76.0, "zone", ("the processor is at 76 °C",))
    async with talking(stt=stt, llm=llm, settings=settings, heat=heat) as talk:
        assert text_of(await turn(talk, silence(300), speech(600), silence(1000)))
    assert llm.asked_at == [Priority.CONVERSATION]
    assert stt.questions == int(cool)


class RankedLlm(FakeLlm):
    """One that is asked in order of priority, as a host is."""

    @asynccontextmanager
    async def reply(self, *args: Any, **more: Any) -> AsyncIterator[AsyncIterator[ReplyPart]]:  # noqa: ANN401
        async with super().reply(*args, **more) as parts:
            yield RankedReply(self, parts)


class RankedReply:
    def __init__(self, owner: RankedLlm, parts: AsyncIterator[ReplyPart]) -> None:
        self._owner, self._parts = owner, parts

    def promote(self, priority: Priority) -> None:
        self._owner.asked_at.append(priority)

    def __aiter__(self) -> RankedReply:
        return self

    async def __anext__(self) -> ReplyPart:
        return await anext(self._parts)


@pytest.mark.parametrize("several", [False, True])
async def test_an_answer_that_is_wanted_waits_behind_nobody_elses_speculation(
    several: bool, autojump_clock: MockClock
) -> None:
    llm = RankedLlm([5.0, *says("It is noon.")])
    order: Order[Llm] = Order("llm", [Member("one", llm, lambda: True)])
    async with talking(
        stt=FakeStt(NOON, partials=[NOON]),
        llm=cast("FakeLlm", FailoverLlm(order)) if several else llm,
        settings=foreseeing(),
    ) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert text_of(response) == "It is noon."
    assert llm.asked_at == [Priority.SPECULATION, Priority.CONVERSATION]


# -- recognisers that tell nothing before the end -------------------------------------------


async def test_a_transcript_is_there_when_the_turn_ends(autojump_clock: MockClock) -> None:
    took = []
    for settings in (foreseeing(answer=False), foreseeing()):
        stt, llm = BusyStt(NOON, delay_s=0.5), FakeLlm([0.1, *says("It is noon.")])
        async with talking(stt=stt, llm=llm, settings=settings) as talk:
            response = await turn(talk, silence(300), speech(600), silence(1000))
            assert text_of(response) == "It is noon."
            took.append(response["voiced"]["timing_ms"]["stt"])
        assert len(stt.heard) == 1  # and not once more for the whole
        assert len(llm.asked) == 1
        assert stt.open == 0
    assert max(took) < 10


async def test_a_transcript_of_half_a_turn_is_thrown_away(autojump_clock: MockClock) -> None:
    stt, llm = BusyStt(NOON, delay_s=0.5), FakeLlm(says("It is noon."))
    async with talking(stt=stt, llm=llm, settings=foreseeing()) as talk:
        parts = (silence(300), speech(600), silence(300), speech(600), silence(1000))
        await turn(talk, *parts)
    (heard,) = stt.heard
    assert len(heard) > 1_500 * 32  # of all that was said
    assert stt.left.count("cancelled") >= 1
    assert len(llm.asked) == 1


async def test_a_question_that_failed_too_late_is_not_asked_in_another_way(
    autojump_clock: MockClock,
) -> None:
    """By then they speak again: what they had said is not all, and must not become the turn."""
    stt, llm = SlowToSay(NOON, partials=[NOON]), FakeLlm(says("It is noon."))
    async with talking(stt=stt, llm=llm, settings=foreseeing()) as talk:
        parts = (silence(300), speech(600), silence(200), speech(600), silence(1000))
        await turn(talk, *parts)
    assert stt.questions == 2
    (heard,) = stt.heard
    assert len(heard) > 1_400 * 32  # of all that was said


async def test_a_recogniser_of_one_utterance_is_given_no_second_one(
    autojump_clock: MockClock,
) -> None:
    """It would wait for the first one to end, and that for the second."""
    stt = FakeStt(NOON)
    async with talking(stt=stt, llm=FakeLlm(says("It is noon.")), settings=foreseeing()) as talk:
        response = await turn(talk, silence(300), speech(600), silence(1000))
        assert text_of(response) == "It is noon."
    assert stt.questions == 1
    assert len(stt.asked) == 1


async def test_an_early_transcript_that_fails_is_made_again(autojump_clock: MockClock) -> None:
    stt = BusyStt(NOON, delay_s=0.1, error=EngineFailed("not now"))
    async with talking(stt=stt, settings=foreseeing()) as talk:
        talk.configure(output_modalities=["text"])
        await talk.hear(silence(300))
        await talk.hear(speech(600))
        await talk.hear(silence(600))
        assert "failed" in stt.left
        stt.error = None
        await talk.hear(silence(400))
        response = (await talk.until("response.done"))["response"]
        assert text_of(response) == "It is noon."


async def test_a_commit_by_hand_is_not_what_was_guessed(autojump_clock: MockClock) -> None:
    """There may be speech in what was not analysed yet."""
    stt = BusyStt(NOON, delay_s=0.05)
    async with talking(stt=stt, settings=foreseeing()) as talk:
        await talk.hear(silence(300))
        await talk.hear(speech(600))
        await talk.hear(silence(400))
        assert len(stt.heard) == 1
        talk.send("input_audio_buffer.commit")
        talk.send("response.create", response={"output_modalities": ["text"]})
        await talk.until("response.done")
        assert len(stt.heard) == 2
        assert len(stt.heard[1]) > len(stt.heard[0])
