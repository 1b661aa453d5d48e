"""`idle_timeout_ms` in a session: counted from the end of what is played, and told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.realtime.fakes import FakeLlm, FakeTts, Talk, says, silence, speech, talking

if TYPE_CHECKING:
    from trio.testing import MockClock

TRIGGERED = "input_audio_buffer.timeout_triggered"
STARTED = "input_audio_buffer.speech_started"
IDLE_MS = 5000
REPLY_MS = 3000


def patient(**fields: object) -> dict[str, Any]:
    detection = {"type": "server_vad", "idle_timeout_ms": IDLE_MS, **fields}
    return {"input": {"turn_detection": detection}}


async def first_audio(talk: Talk) -> float:
    """When the next reply begins to be heard."""
    await talk.until("response.output_audio.delta")
    return trio.current_time()


async def test_it_is_counted_from_the_end_of_what_is_played(autojump_clock: MockClock) -> None:
    llm = FakeLlm(says("A reply."), says("Are you still there?"))
    async with talking(llm=llm, tts=FakeTts(clause_ms=REPLY_MS)) as talk:
        talk.configure(audio=patient())
        talk.type_in("Hello.")
        heard_from = await first_audio(talk)
        await talk.until("response.done")
        done = trio.current_time()
        assert done - heard_from < REPLY_MS / 1000, "it is sent before it is played"
        await talk.until(TRIGGERED)
        waited_s = trio.current_time() - heard_from
        assert waited_s == pytest.approx((REPLY_MS + IDLE_MS) / 1000, abs=0.01)
        await talk.until("response.done")
        assert llm.asked[-1][-1]["name"] == "silence"
        with trio.move_on_after(60) as waiting:
            await talk.until(TRIGGERED)
        assert waiting.cancelled_caught, "it is asked once"


async def test_a_written_answer_is_read_at_once(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.configure(audio=patient(), output_modalities=["text"])
        talk.type_in("Hello.")
        await talk.until("response.done")
        began = trio.current_time()
        await talk.until(TRIGGERED)
        assert trio.current_time() - began == pytest.approx(IDLE_MS / 1000, abs=0.01)


async def test_the_stretch_of_input_is_that_of_the_silence(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.configure(audio=patient())
        talk.type_in("Hello.")
        await talk.hear(silence(12_000))
        event = await talk.until(TRIGGERED)
        # The reply was heard from 50 ms to 1,050 ms, and the microphone was open all the while.
        assert event["audio_end_ms"] == pytest.approx(1050 + IDLE_MS, abs=100)
        assert event["audio_end_ms"] - event["audio_start_ms"] == IDLE_MS


async def test_whoever_speaks_right_after_it_begins_after_it(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.configure(audio=patient(create_response=False))
        talk.type_in("Hello.")
        # The padding of what is said reaches into the silence that was told.
        await talk.hear(silence(1050 + IDLE_MS + 50) + speech(800) + silence(500))
        await talk.rest()
        assert talk.types().index(TRIGGERED) < talk.types().index(STARTED)
        (triggered,) = (event for event in talk.events if event["type"] == TRIGGERED)
        (started,) = (event for event in talk.events if event["type"] == STARTED)
        assert started["audio_start_ms"] == triggered["audio_end_ms"]


async def test_a_closed_microphone_has_no_stretch(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.configure(audio=patient())
        talk.type_in("Hello.")
        event = await talk.until(TRIGGERED)
        assert event["audio_start_ms"] == event["audio_end_ms"] == 0


async def test_somebody_who_speaks_is_not_asked(autojump_clock: MockClock) -> None:
    async with talking(tts=FakeTts(clause_ms=1000)) as talk:
        talk.configure(audio=patient(create_response=False))
        talk.type_in("Hello.")
        await talk.hear(silence(5500) + speech(1500) + silence(9000))
        await talk.rest()
        assert TRIGGERED not in talk.types()


async def test_a_client_that_cuts_the_reply_hears_nothing_more_of_it(
    autojump_clock: MockClock,
) -> None:
    async with talking(tts=FakeTts(clause_ms=REPLY_MS)) as talk:
        talk.configure(audio=patient())
        talk.type_in("Hello.")
        done = await talk.until("response.done")
        talk.send(
            "conversation.item.truncate",
            item_id=done["response"]["output"][0]["id"],
            content_index=0,
            audio_end_ms=500,
        )
        await talk.until("conversation.item.truncated")
        cut = trio.current_time()
        await talk.until(TRIGGERED)
        assert trio.current_time() - cut == pytest.approx(IDLE_MS / 1000, abs=0.01)


async def test_an_ended_session_leaves_no_timer(autojump_clock: MockClock) -> None:
    async with talking() as talk:
        talk.configure(audio=patient())
        talk.type_in("Hello.")
        await talk.until("response.done")
    # `talking` has looked that no task is left
