"""What a session counts for the metrics: the stages of its turns, and what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from msgspec import structs

from tests.realtime.fakes import (
    FakeLlm,
    FakeStt,
    FakeTts,
    make_settings,
    says,
    silence,
    speech,
    talking,
)
from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.engines.ports import ReplyEnd, TextDelta
from voiced.errors import EngineFailed
from voiced.telemetry.tally import MOST_CODES, Tally

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.realtime.fakes import Step, Talk
    from voiced.settings import Settings


def sums(talk: Talk) -> dict[str, float]:
    """The time spent in each stage, in seconds."""
    return {stage: series.sum_s for stage, series in talk.hub.tally.turns.items()}


async def test_a_spoken_turn_is_timed_stage_by_stage(autojump_clock: MockClock) -> None:
    stt, llm = FakeStt(delay_s=1.0), FakeLlm([2.0, *says("It is noon.")])
    async with talking(stt=stt, llm=llm, tts=FakeTts(first_s=0.5)) as talk:
        await talk.hear(speech(1000) + silence(500))
        await talk.until("response.done")
        await talk.rest()
        spent = sums(talk)
        assert spent["stt"] == pytest.approx(1.0)
        assert spent["llm"] == pytest.approx(2.0)
        assert spent["tts"] == pytest.approx(0.5)
        assert spent["answer"] == pytest.approx(3.5)
        # The window of silence that ended the turn.
        assert spent["endpointing"] == pytest.approx(0.2, abs=0.04)
        assert spent["whole"] == pytest.approx(spent["endpointing"] + 3.5)
        assert all(series.count == 1 for series in talk.hub.tally.turns.values())
        assert talk.hub.tally.responses == {"completed": 1}
        assert talk.hub.tally.sessions == 1


async def test_an_answer_to_what_was_typed_has_no_end_of_speech(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.type_in("what time is it")
        await talk.until("response.done")
        await talk.rest()
        assert set(sums(talk)) == {"llm", "tts", "answer"}


async def test_a_turn_that_is_ended_by_hand_begins_its_wait_there(
    autojump_clock: MockClock,
) -> None:
    async with talking(stt=FakeStt(delay_s=1.0), tts=FakeTts(first_s=0.5)) as talk:
        await talk.hear(silence(300) + speech(600))
        talk.send("input_audio_buffer.commit")
        talk.send("response.create")
        await talk.until("response.done")
        await talk.rest()
        assert talk.hub.tally.turns["answer"].count == 1
        assert "whole" not in sums(talk)


async def test_interruptions_failures_and_refusals_are_counted(autojump_clock: MockClock) -> None:
    story: list[Step] = [TextDelta("Once upon a time. There was."), 60.0, ReplyEnd(finish="stop")]
    llm = FakeLlm(story, [EngineFailed("no")])
    async with talking(llm=llm, tts=FakeTts(clause_ms=3000)) as talk:
        talk.type_in("tell me a story")
        await talk.until("response.output_audio.delta")
        await talk.hear(speech(600) + silence(500))
        await talk.rest()
        talk.send("response.cancel")
        await talk.until("error")
        tally = talk.hub.tally
        assert tally.barge_ins == 1
        assert tally.responses == {"cancelled": 1, "failed": 1}
        assert tally.errors == {
            ("response", "engine_failed"): 1,
            ("realtime", "response_cancel_not_active"): 1,
        }


async def test_a_response_that_its_client_cancels_is_no_interruption(
    autojump_clock: MockClock,
) -> None:
    thinking: list[Step] = [TextDelta("Well, let me see."), 60.0, ReplyEnd(finish="stop")]
    async with talking(llm=FakeLlm(thinking)) as talk:
        talk.type_in("hm")
        await talk.until("response.created")
        talk.send("response.cancel")
        await talk.until("response.done")
        assert talk.hub.tally.responses == {"cancelled": 1}
        assert talk.hub.tally.barge_ins == 0


async def test_lost_audio_is_counted_beyond_the_end_of_its_session(
    autojump_clock: MockClock,
) -> None:
    def short(settings: Settings) -> Settings:
        return structs.replace(settings, limits=structs.replace(settings.limits, input_audio_s=2.0))

    lost = bytes_for_ms(1000, WIRE_HZ)
    async with talking(settings=make_settings(short)) as talk:
        hub = talk.hub
        talk.configure(audio={"input": {"turn_detection": None}})
        talk.session.pipeline.feed(speech(3000))
        assert (hub.dropped_bytes, hub.tally.dropped_bytes) == (lost, 0)
    assert (hub.dropped_bytes, hub.tally.dropped_bytes) == (lost, lost)


async def test_a_client_that_does_not_read_is_counted_once(autojump_clock: MockClock) -> None:
    def narrow(settings: Settings) -> Settings:
        limits = structs.replace(settings.limits, outbox_bytes=20_000)
        return structs.replace(settings, limits=limits)

    async with talking(tts=FakeTts(clause_ms=5000), settings=make_settings(narrow)) as talk:
        talk.type_in("tell me a story")
        await trio.sleep(5)
        for _ in range(1000):
            talk.type_in("and then?")
        await talk.close()
        assert talk.hub.tally.outboxes_full == 1


def test_the_codes_are_bounded() -> None:
    tally = Tally()
    for number in range(2 * MOST_CODES):
        tally.error("http", f"code_{number}")
    assert len(tally.errors) == MOST_CODES + 1
    assert tally.errors["http", "other"] == MOST_CODES
    tally.error("http", "code_0")
    assert tally.errors["http", "code_0"] == 2
