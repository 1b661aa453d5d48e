"""What those who watch the daemon learn of its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.realtime.fakes import EarlyStt, FakeLlm, FakeStt, silence, speech, talking
from tests.realtime.reading_llm import ReadingLlm
from tests.telemetry.watching import watching
from voiced.engines.ports import Partial
from voiced.errors import EngineFailed
from voiced.telemetry.insights import Insights

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.telemetry.watching import Seen

WORDS = "what time is it"


def states(seen: Seen) -> list[str]:
    """What the session was at, runs of the same folded into one."""
    told = [payload["state"] for payload in seen.payloads("partial_result")]
    return [state for at, state in enumerate(told) if at == 0 or told[at - 1] != state]


@pytest.mark.parametrize("transcripts", [True, False])
async def test_a_spoken_turn_is_told_with_its_words_only_where_that_is_allowed(
    autojump_clock: MockClock, transcripts: bool
) -> None:
    insights = Insights(transcripts=transcripts)
    async with watching(insights) as seen:
        async with talking(stt=FakeStt(WORDS), insights=insights) as talk:
            talk.configure(audio={"input": {"transcription": {"model": "voiced"}}})
            await talk.hear(silence(500) + speech(1000) + silence(400))
            await talk.until("response.done")
            await seen.until("partial_result", lambda told: bool(told["timings_ms"]))
            (reply,) = [e for e in talk.events if e["type"].endswith("audio_transcript.done")]
        await seen.until("partial_result", lambda told: told["state"] == "closed")
    # It is answering from the moment that the turn is over: the words are waited for by that.
    assert states(seen) == ["opened", "hearing", "answering", "speaking", "listening", "closed"]
    told = seen.payloads("partial_result")
    assert {payload["session_id"] for payload in told} == {talk.session.id}
    texts = [payload["text"] for payload in told if payload["text"] is not None]
    if transcripts:
        assert WORDS in texts
        assert reply["transcript"] in texts
    else:
        assert texts == []
    (timings,) = [payload["timings_ms"] for payload in told if payload["timings_ms"]]
    assert {"llm_first_text", "tts_first_audio", "total"} <= set(timings)


@pytest.mark.parametrize("transcripts", [True, False])
async def test_what_somebody_has_said_so_far_is_told_where_that_is_allowed(
    autojump_clock: MockClock, transcripts: bool
) -> None:
    insights = Insights(transcripts=transcripts)
    stt = EarlyStt(WORDS, partials=[Partial(text="what time"), Partial(text=WORDS, stable="what")])
    llm = ReadingLlm()  # it is told in any case
    async with watching(insights) as seen, talking(stt=stt, llm=llm, insights=insights) as talk:
        await talk.hear(silence(500) + speech(1500))
        await talk.until("input_audio_buffer.speech_started")
        await talk.hear(speech(1500))
        await trio.sleep(1)
        assert stt.questions > 1
        talk.send("input_audio_buffer.clear")
        await talk.until("input_audio_buffer.cleared")
    told = [(payload["state"], payload["text"]) for payload in seen.payloads("partial_result")]
    heard = [text for state, text in told if state == "hearing"]
    assert heard == [None, "what"] if transcripts else [None]


async def test_for_those_who_watch_somebody_who_speaks_is_followed(
    autojump_clock: MockClock,
) -> None:
    insights, stt = Insights(transcripts=True), EarlyStt(WORDS, partials=[WORDS])
    async with talking(stt=stt, insights=insights) as talk:
        await talk.hear(silence(500) + speech(1500))
        await trio.sleep(1)
        assert stt.questions > 0


async def test_where_nobody_answers_the_words_are_waited_for(autojump_clock: MockClock) -> None:
    insights = Insights()
    async with (
        watching(insights) as seen,
        talking(stt=FakeStt(WORDS), intent="transcription", insights=insights) as talk,
    ):
        session = {"type": "transcription", "audio": {"input": {"transcription": {}}}}
        talk.send("session.update", session=session)
        await talk.hear(silence(500) + speech(1000) + silence(400))
        await talk.until("conversation.item.input_audio_transcription.completed")
        await seen.until("partial_result", lambda told: told["state"] == "listening")
    assert states(seen) == ["opened", "hearing", "heard", "listening", "closed"]


async def test_who_comes_later_learns_what_each_session_is_at(autojump_clock: MockClock) -> None:
    insights = Insights()
    async with talking(insights=insights) as talk:
        insights.add_source(talk.hub.reports)
        await talk.hear(silence(500) + speech(1000))
        await talk.until("input_audio_buffer.speech_started")
        async with watching(insights) as seen:
            first = await seen.until("partial_result", lambda _: True)
    assert (first["session_id"], first["state"]) == (talk.session.id, "hearing")


async def test_what_fails_is_an_error(autojump_clock: MockClock) -> None:
    insights = Insights()
    llm = FakeLlm([EngineFailed("out of memory at 0x7f", public="The assistant failed.")])
    stt = FakeStt(error=EngineFailed("no luck", public="It failed."))
    async with watching(insights) as seen, talking(stt=stt, llm=llm, insights=insights) as talk:
        talk.configure(audio={"input": {"transcription": {"model": "voiced"}}})
        await talk.hear(silence(500) + speech(1000) + silence(400))
        await talk.until("conversation.item.input_audio_transcription.failed")
        talk.send("response.create")
        await talk.until("response.done")
        await seen.until("error", lambda told: told["code"] == "transcription_failed")
        failed = await seen.until("error", lambda told: told["code"] == "response_failed")
    assert failed["subject"] == talk.session.id
    assert "0x7f" not in failed["message"]
