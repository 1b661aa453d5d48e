"""What a session does about heat: nothing in advance, shorter replies, and it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from tests.realtime.fakes import FakeLlm, FakeStt, Talk, says, silence, speech, talking
from tests.realtime.reading_llm import ReadingLlm
from tests.realtime.test_ahead import answered
from voiced.engines.ports import EARLY, EngineInfo, Priority
from voiced.realtime.reply import BRIEFLY
from voiced.settings import Settings, Thermal, TurnDetection
from voiced.thermal.heat import Heat, Level

if TYPE_CHECKING:
    from trio.testing import MockClock

NOON = "what time is it"

DEGREES = {Level.NORMAL: 60.0, Level.WARM: 76.0, Level.HOT: 81.0, Level.CRITICAL: 86.0}


def at(heat: Heat, level: Level) -> None:
    """The level is this from now on."""
    celsius = DEGREES[level]
    heat.tell(level, celsius, "zone", (f"the processor is at {celsius:.0f} °C",))


def foreseeing() -> Settings:
    turns = TurnDetection(silence_duration_ms=2000, speculate_ms=100, speculate_answer=True)
    return structs.replace(Settings(), turn_detection=turns)


async def begin_to_speak(talk: Talk) -> None:
    talk.configure(output_modalities=["text"])
    for part in (silence(300), speech(600), silence(400)):
        await talk.hear(part)


@pytest.mark.parametrize("level", [Level.WARM, Level.HOT, Level.CRITICAL])
async def test_what_is_done_in_advance_is_cancelled_at_once(
    level: Level, autojump_clock: MockClock
) -> None:
    heat = Heat()
    llm = FakeLlm([5.0, *says("It is noon.")], says("It is one."))
    stt = FakeStt(NOON, partials=[NOON])
    async with talking(stt=stt, llm=llm, settings=foreseeing(), heat=heat) as talk:
        await begin_to_speak(talk)
        assert (llm.open, llm.asked_at) == (1, [Priority.SPECULATION])
        at(heat, level)
        await talk.hear(silence(100))
        assert llm.left == ["cancelled"]
        assert stt.open == 1  # the turn itself is heard to its end
        await talk.hear(silence(2000))
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert llm.asked_at == [Priority.SPECULATION, Priority.CONVERSATION]


async def test_it_is_done_again_once_it_is_cool(autojump_clock: MockClock) -> None:
    heat = Heat()
    at(heat, Level.WARM)
    llm = FakeLlm(says("It is noon."))
    stt = FakeStt(NOON, partials=[NOON])
    async with talking(stt=stt, llm=llm, settings=foreseeing(), heat=heat) as talk:
        await begin_to_speak(talk)
        assert (llm.asked, stt.questions) == ([], 0)
        at(heat, Level.NORMAL)
        await talk.hear(silence(100))
        assert llm.asked_at == [Priority.SPECULATION]


async def test_the_answer_to_a_turn_that_is_over_is_kept(autojump_clock: MockClock) -> None:
    """Its transcript is not there yet, so that nobody has taken it up."""
    heat = Heat()
    llm = FakeLlm([3.0, *says("It is noon.")])
    stt = FakeStt(NOON, delay_s=2.0, partials=[NOON])
    settings = foreseeing()
    turns = structs.replace(settings.turn_detection, silence_duration_ms=500)
    async with talking(
        stt=stt, llm=llm, settings=structs.replace(settings, turn_detection=turns), heat=heat
    ) as talk:
        await begin_to_speak(talk)
        await talk.hear(silence(400))
        await talk.until("input_audio_buffer.committed")
        at(heat, Level.WARM)
        response = (await talk.until("response.done"))["response"]
        assert response["status"] == "completed"
    assert llm.left == ["done"]
    assert len(llm.asked) == 1


class EarlyStt(FakeStt):
    """One that is done sooner when asked as a silence begins, as Whisper is."""

    info = EngineInfo(kind="stt", name="fake", version="1", capabilities=(EARLY,))


async def test_the_recogniser_is_not_asked_ahead_of_the_end(autojump_clock: MockClock) -> None:
    heat = Heat()
    stt = EarlyStt(NOON, partials=[NOON])
    asked = []
    async with talking(stt=stt, heat=heat) as talk:
        for level in (Level.NORMAL, Level.WARM, Level.CRITICAL, Level.NORMAL):
            at(heat, level)
            before = stt.questions
            for part in (silence(300), speech(600), silence(1500)):
                await talk.hear(part)
            await talk.until("response.done")
            asked.append(stt.questions - before)
    assert asked == [1, 0, 0, 1]


# -- replies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "given", "limit", "short"),
    [
        (Level.WARM, "inf", None, False),
        (Level.HOT, "inf", 40, True),
        (Level.HOT, 1000, 40, True),
        (Level.HOT, 7, 7, True),
        (Level.CRITICAL, "inf", 40, True),
    ],
)
async def test_spoken_replies_are_shorter_while_it_is_hot(
    level: Level, given: int | str, limit: int | None, short: bool, autojump_clock: MockClock
) -> None:
    """What asks for it stands at the end: the model knows everything in front of it already."""
    heat = Heat()
    llm = FakeLlm(says("It is noon."))
    settings = structs.replace(Settings(), thermal=Thermal(reply_tokens=40))
    async with talking(llm=llm, settings=settings, heat=heat) as talk:
        talk.configure(max_output_tokens=given)
        await answered(talk, NOON)
        at(heat, level)
        await answered(talk, NOON)
    before, now = llm.asked[0], llm.asked[1]
    assert now[: len(before)] == before
    assert llm.limits[1] == limit
    assert (now[-1] == {"role": "system", "content": BRIEFLY}) is short
    if not short:
        assert now[-1]["role"] == "user"


async def test_replies_in_text_are_what_was_asked_for(autojump_clock: MockClock) -> None:
    heat = Heat()
    at(heat, Level.HOT)
    llm = FakeLlm(says("It is noon."))
    async with talking(llm=llm, heat=heat) as talk:
        talk.configure(output_modalities=["text"])
        await answered(talk, NOON)
    assert llm.limits == [None]
    assert llm.asked[0][-1]["role"] == "user"


async def test_a_reply_in_flight_is_not_touched(autojump_clock: MockClock) -> None:
    heat = Heat()
    llm = FakeLlm([*says("It is ", "noon.")[:1], 1.0, *says("noon.")])
    async with talking(llm=llm, heat=heat) as talk:
        talk.type_in(NOON)
        await talk.until("response.output_audio_transcript.delta")
        at(heat, Level.CRITICAL)
        response = (await talk.until("response.done"))["response"]
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["transcript"] == "It is noon."


async def test_nothing_is_summed_up_while_it_is_hot(autojump_clock: MockClock) -> None:
    heat = Heat()
    at(heat, Level.HOT)
    end = structs.replace(says("x")[-1], input_tokens=900)  # type: ignore[type-var] # a ReplyEnd
    llm = ReadingLlm([says("Yes.")[0], end])
    llm.info = structs.replace(llm.info, context_tokens=1000)
    llm.tokens = 900
    async with talking(llm=llm, heat=heat) as talk:
        for _ in range(4):
            await answered(talk, "Tell me more.")
        await talk.rest()
        assert Priority.JOB not in llm.asked_at
        at(heat, Level.WARM)
        await talk.rest()
        assert Priority.JOB in llm.asked_at


# -- the client --------------------------------------------------------------------------------


@pytest.mark.parametrize("intent", [None, "transcription"])
async def test_the_client_is_told_in_words(intent: str | None, autojump_clock: MockClock) -> None:
    heat = Heat()
    async with talking(heat=heat, intent=intent) as talk:
        told: list[dict[str, Any]] = [talk.events[0]["session"]["voiced"]["heat"]]
        for level in (Level.NORMAL, Level.HOT, Level.CRITICAL):
            at(heat, level)
            told.append((await talk.until("session.updated"))["session"]["voiced"]["heat"])
        heat.tell(Level.CRITICAL, 87.0, "zone", ())
        talk.configure()
        again = (await talk.until("session.updated"))["session"]["voiced"]["heat"]
    assert [one["level"] for one in told] == ["unknown", "normal", "hot", "critical"]
    assert [one["celsius"] for one in told] == [None, 60.0, 81.0, 86.0]
    assert "not known" in told[0]["words"]
    assert told[2]["words"] == (
        "The processor is hot (81 °C): background jobs are paused, and spoken replies are shorter."
    )
    assert "only conversation goes on" in told[3]["words"]
    assert again == told[3]  # only changes are told


async def test_a_client_that_sends_it_back_changes_nothing(autojump_clock: MockClock) -> None:
    heat = Heat()
    async with talking(heat=heat) as talk:
        talk.configure(voiced={"heat": {"level": "critical"}}, instructions="Whisper.")
        session = (await talk.until("session.updated"))["session"]
    assert session["instructions"] == "Whisper."
    assert session["voiced"]["heat"]["level"] == "unknown"
