"""A reply that is paused by a sound: it goes on, or it is interrupted; on a clock of its own."""

from __future__ import annotations

from base64 import b64decode
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
import trio
from msgspec import structs

from tests.realtime.fakes import FakeLlm, FakeStt, FakeTts, Talk, says, silence, speech, talking
from voiced.audio.pcm import WIRE_HZ, duration_ms
from voiced.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trio.testing import MockClock

STARTED = "input_audio_buffer.speech_started"
DELTA = "response.output_audio.delta"
DONE = "response.done"
SPEECH_EVENTS = {STARTED, "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"}
REPLY_MS = 4000
RESUME_S = 2.0
BACKCHANNEL_MS = 800


def patient_settings(**turns: object) -> Settings:
    settings = Settings()
    turns = {"resume_s": RESUME_S, "backchannel_ms": BACKCHANNEL_MS, **turns}
    return structs.replace(
        settings, turn_detection=structs.replace(settings.turn_detection, **turns)
    )


class Reply:
    """A reply under way, every event with the moment it came, in ms from the first audio."""

    def __init__(self, talk: Talk, stt: FakeStt) -> None:
        self.talk = talk
        self.stt = stt
        self.seen: list[tuple[float, dict[str, Any]]] = []
        self._began: float | None = None
        self.done = trio.Event()

    async def watch(self) -> None:
        while True:
            event = await self.talk.next()
            if self._began is None and event["type"] == DELTA:
                self._began = trio.current_time()
            if self._began is not None:
                self.seen.append(((trio.current_time() - self._began) * 1000, event))
            if event["type"] == DONE:
                self.done.set()

    def times(self, *kinds: str) -> list[float]:
        return [at for at, event in self.seen if event["type"] in kinds]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [event for _, event in self.seen if event["type"] in kinds]

    @property
    def status(self) -> str:
        (done,) = self.events(DONE)
        return str(done["response"]["status"])

    @property
    def gap_ms(self) -> tuple[float, float]:
        """When the longest silence on the wire within the reply began, and how long it was."""
        times = self.times(DELTA)
        return max((b - a, a) for a, b in pairwise(times))[::-1]


@asynccontextmanager
async def replying(
    partials: Sequence[str] = (),
    settings: Settings | None = None,
    **stt: Any,  # noqa: ANN401
) -> AsyncIterator[Reply]:
    """Somebody typed, and is being answered for 4 s; nobody has made a sound yet."""
    ears = FakeStt(partials=partials, **stt)
    async with talking(
        stt=ears,
        llm=FakeLlm(says("A long story.")),
        tts=FakeTts(clause_ms=REPLY_MS),
        settings=settings or patient_settings(),
    ) as talk:
        reply = Reply(talk, ears)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply.watch)
            quiet = {"type": "server_vad", "create_response": False}
            talk.configure(audio={"input": {"turn_detection": quiet}})
            talk.type_in("Tell me a story.")
            await talk.hear(silence(1000))
            yield reply
            nursery.cancel_scope.cancel(reason="the test is over")


async def test_a_backchannel_pauses_the_reply_and_leaves_no_trace(
    autojump_clock: MockClock,
) -> None:
    async with replying(["", "uh-huh"]) as reply:
        sent_before = len(reply.times(DELTA))
        await reply.talk.hear(speech(350) + silence(6000))
        await reply.done.wait()
        assert reply.status == "completed"
        assert reply.events(*SPEECH_EVENTS) == []
        audio_ms = sum(
            duration_ms(len(b64decode(e["delta"])), WIRE_HZ) for e in reply.events(DELTA)
        )
        assert audio_ms == pytest.approx(REPLY_MS, abs=1), "the content has no gap"
        began, gap = reply.gap_ms
        # It stopped as soon as the sound was one, and went on when that had been over for 200 ms.
        assert sent_before > 5
        assert 350 < gap < 350 + 350
        assert began < 1000 + 100
        assert reply.stt.left == ["cancelled"], "nothing was transcribed for anybody"


async def test_a_cough_does_not_interrupt(autojump_clock: MockClock) -> None:
    async with replying([""]) as reply:
        await reply.talk.hear(speech(250) + silence(5000))
        await reply.done.wait()
        assert reply.status == "completed"
        assert reply.events(*SPEECH_EVENTS) == []


async def test_words_interrupt_as_soon_as_they_are_recognised(autojump_clock: MockClock) -> None:
    async with replying(["", "stop the music"]) as reply:
        await reply.talk.hear(speech(1500) + silence(500))
        (started,) = reply.times(STARTED)
        # Asked every 200 ms, understood at the second time: not at the longest sound.
        assert 1000 - 200 < started < 1000 + 600
        assert reply.status == "cancelled"
        (event,) = reply.events(STARTED)
        assert 650 <= event["audio_start_ms"] <= 1000, "the true onset, with its padding"
        (committed,) = reply.events("input_audio_buffer.committed")
        assert committed["item_id"] == event["item_id"]
        assert not [at for at in reply.times(DELTA) if at > started]


async def test_a_sound_that_lasts_interrupts_whatever_it_is(autojump_clock: MockClock) -> None:
    async with replying([""]) as reply:
        await reply.talk.hear(speech(1500) + silence(500))
        (started,) = reply.times(STARTED)
        onset = 1000 - 50  # the reply began some 50 ms after the question
        assert BACKCHANNEL_MS - 40 <= started - onset <= BACKCHANNEL_MS + 140
        assert reply.status == "cancelled"


async def test_a_recogniser_that_cannot_tell_interrupts_at_the_short_silence(
    autojump_clock: MockClock,
) -> None:
    async with replying([]) as reply:
        await reply.talk.hear(speech(400) + silence(2000))
        assert reply.status == "cancelled"
        (started,) = reply.times(STARTED)
        assert 1000 + 400 < started < 1000 + 400 + 350


async def test_the_reply_goes_on_when_the_recogniser_takes_too_long(
    autojump_clock: MockClock,
) -> None:
    class Slow(FakeStt):
        answer_s = 60.0

    async with talking(
        stt=Slow(partials=["stop"]),
        llm=FakeLlm(says("A long story.")),
        tts=FakeTts(clause_ms=REPLY_MS),
        settings=patient_settings(),
    ) as talk:
        reply = Reply(talk, talk.session._parts.stt)  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply.watch)
            talk.type_in("Tell me a story.")
            await talk.hear(silence(1000) + speech(400) + silence(6000))
            await reply.done.wait()
            nursery.cancel_scope.cancel(reason="the test is over")
        assert reply.status == "completed"
        assert reply.gap_ms[1] <= 400 + RESUME_S * 1000 + 100


async def test_the_reply_goes_on_when_no_more_audio_comes(autojump_clock: MockClock) -> None:
    async with replying([""]) as reply:
        await reply.talk.hear(speech(300))
        await reply.done.wait()  # the microphone was switched off in the middle of a sound
        assert reply.status == "completed"
        assert reply.gap_ms[1] <= BACKCHANNEL_MS + RESUME_S * 1000 + 100


async def test_after_a_cough_speech_is_heard_like_any_other(autojump_clock: MockClock) -> None:
    async with replying(["", "", "", "turn on the lamp"]) as reply:
        await reply.talk.hear(speech(250) + silence(900) + speech(900) + silence(600))
        assert reply.status == "cancelled"
        (started,) = reply.events(STARTED)
        assert started["audio_start_ms"] >= 1000 + 250 + 900 - 300 - 70
        (heard,) = reply.stt.heard
        assert duration_ms(len(heard), 16_000) < 300 + 900 + 600, "the cough is not in the turn"


async def test_a_client_that_cancels_meanwhile_wins(autojump_clock: MockClock) -> None:
    async with replying(["", ""]) as reply:
        await reply.talk.hear(speech(300))
        reply.talk.send("response.cancel")
        await reply.talk.hear(silence(1000))
        (done,) = reply.events(DONE)[:1]
        assert done["response"]["status_details"]["reason"] == "client_cancelled"
        assert reply.times(STARTED)[0] >= reply.times(DONE)[0]


async def test_by_default_every_sound_interrupts_at_once(autojump_clock: MockClock) -> None:
    async with replying(["", "uh-huh"], Settings()) as reply:
        await reply.talk.hear(speech(350) + silence(500))
        assert reply.status == "cancelled"
        (started,) = reply.times(STARTED)
        assert started < 1000 + 150


async def test_a_click_shorter_than_the_least_speech_is_nothing(autojump_clock: MockClock) -> None:
    settings = patient_settings(resume_s=0.0, min_speech_ms=300)
    async with replying([""], settings) as reply:
        await reply.talk.hear(speech(200) + silence(5000))
        await reply.done.wait()
        assert reply.status == "completed"
    async with replying([""], settings) as reply:
        await reply.talk.hear(speech(600) + silence(500))
        assert reply.status == "cancelled"
        (event,) = reply.events(STARTED)
        assert event["audio_start_ms"] <= 1000, "noticed later, it still began where it began"
