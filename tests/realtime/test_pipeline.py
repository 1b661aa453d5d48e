"""The audio pipeline with the real Silero, on speech: one sentence is one turn, whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio

from tests.realtime.fakes import FakeStt, silence
from voiced.audio.files import read_pcm16
from voiced.audio.pcm import SPEECH_HZ, WIRE_HZ, bytes_for_ms, duration_ms
from voiced.conversation import inputs as inp
from voiced.conversation.config import Audio, AudioIn, SessionConfig
from voiced.conversation.detection import ServerVad
from voiced.engines.ports import EARLY, EngineInfo
from voiced.realtime.pipeline import AudioPipeline
from voiced.settings import TurnDetection
from voiced.turns.silero import SileroVad

if TYPE_CHECKING:
    from trio.testing import MockClock

    from voiced.audio.formats import WireFormat

RECORDING = Path(__file__).parents[3] / "shared" / "audio" / "turn_on_the_living_room_lamp.wav"
SILENCE_MS = 200


@pytest.fixture(scope="module")
def vad() -> SileroVad:
    return SileroVad.load()


class Ear:
    """A pipeline and what it told."""

    def __init__(self, vad: SileroVad, stt: FakeStt | None = None) -> None:
        self.stt = stt or FakeStt()
        self.told: list[inp.Input] = []
        self.pipeline = AudioPipeline(
            vad=vad,
            stt=self.stt,
            apply=self.hear,
            language="en",
            acoustic_end=True,
            most_buffered_s=60,
            turns=TurnDetection(),
            speculates=True,
        )
        detection = ServerVad(silence_duration_ms=SILENCE_MS)
        self.pipeline.configure(
            SessionConfig(
                id="sess_1",
                model="m",
                expires_at=0,
                audio=Audio(input=AudioIn(turn_detection=detection)),
            )
        )

    def hear(self, event: inp.Input) -> None:
        self.told.append(event)
        if isinstance(event, inp.SpeechStopped):
            self.pipeline.claim(f"item_{len(self.told)}")

    async def listen(self, pcm: bytes, portion_ms: float) -> None:
        step = bytes_for_ms(portion_ms, WIRE_HZ)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pipeline.run)
            for start in range(0, len(pcm), step):
                self.pipeline.feed(pcm[start : start + step])
                await trio.sleep(portion_ms / 1000)
            await trio.sleep(1)
            nursery.cancel_scope.cancel(reason="all was said")


def check_one_turn(ear: Ear, pcm: bytes, before_ms: float) -> None:
    kinds = [type(event) for event in ear.told]
    assert kinds == [inp.SpeechStarted, inp.SpeechStopped, inp.TranscriptReady]
    started, stopped, ready = ear.told
    assert isinstance(started, inp.SpeechStarted)
    assert isinstance(stopped, inp.SpeechStopped)
    assert isinstance(ready, inp.TranscriptReady)
    assert started.audio_start_ms < stopped.audio_end_ms
    assert stopped.audio_end_ms < before_ms + duration_ms(len(pcm), WIRE_HZ) + SILENCE_MS + 100
    heard_ms = duration_ms(len(ear.stt.heard[0]), SPEECH_HZ)
    assert heard_ms == pytest.approx(stopped.audio_end_ms - started.audio_start_ms, abs=33)
    assert ready.duration_s == pytest.approx(heard_ms / 1000)


@pytest.mark.parametrize("portion_ms", [7, 20, 100, 250])
async def test_a_sentence_is_one_turn_however_it_is_cut(
    portion_ms: float, vad: SileroVad, spoken: bytes, autojump_clock: MockClock
) -> None:
    ear = Ear(vad)
    await ear.listen(silence(700) + spoken + silence(700), portion_ms)
    check_one_turn(ear, spoken, 700)


@pytest.mark.skipif(not RECORDING.exists(), reason="the shared recordings are not here")
async def test_a_sentence_by_a_person_is_one_turn(
    vad: SileroVad, autojump_clock: MockClock
) -> None:
    ear = Ear(vad)
    pcm = read_pcm16(RECORDING, WIRE_HZ)
    await ear.listen(silence(500) + pcm + silence(700), 20)
    check_one_turn(ear, pcm, 500)


async def test_two_sentences_are_two_turns(
    vad: SileroVad, spoken: bytes, autojump_clock: MockClock
) -> None:
    ear = Ear(vad)
    await ear.listen((silence(700) + spoken) * 2 + silence(700), 20)
    starts = [e for e in ear.told if isinstance(e, inp.SpeechStarted)]
    assert len(starts) == 2
    assert len(ear.stt.heard) == 2


class AheadStt(FakeStt):
    """Is done sooner when it is asked as a silence begins."""

    info = EngineInfo(kind="stt", name="ahead", version="1", capabilities=("partials", EARLY))


@pytest.mark.parametrize(("stt", "asks"), [(AheadStt, True), (FakeStt, False)])
async def test_one_that_works_ahead_is_asked_before_the_turn_is_over(
    stt: type[FakeStt],
    asks: bool,
    vad: SileroVad,
    spoken: bytes,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    ear = Ear(vad, stt(partials=["turn on"]))
    questions_at_end: list[int] = []
    claim = ear.pipeline.claim

    def counted(item_id: str, *, transcribe: bool = True) -> tuple[bytes, WireFormat]:
        questions_at_end.append(ear.stt.questions)
        return claim(item_id, transcribe=transcribe)

    monkeypatch.setattr(ear.pipeline, "claim", counted)
    await ear.listen(silence(700) + spoken + silence(700), 20)
    check_one_turn(ear, spoken, 700)
    assert len(questions_at_end) == 1
    assert (questions_at_end[0] > 0) is asks


async def test_noise_is_no_turn(vad: SileroVad, autojump_clock: MockClock) -> None:

    noise = np.random.default_rng(5).normal(0, 1500, 3 * WIRE_HZ).astype(np.int16)
    ear = Ear(vad)
    await ear.listen(noise.tobytes(), 20)
    assert ear.told == []
    assert ear.pipeline.held_bytes < 40_000


async def test_audio_counts_as_held_until_it_is_transcribed(
    vad: SileroVad, autojump_clock: MockClock
) -> None:
    ear = Ear(vad)
    ear.stt.delay_s = 10.0
    second = bytes(bytes_for_ms(1000, WIRE_HZ))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ear.pipeline.run)
        ear.pipeline.feed(second)
        ear.pipeline.claim("item_1")
        await trio.sleep(5.0)
        assert ear.pipeline.held_bytes >= bytes_for_ms(900, SPEECH_HZ)
        await trio.sleep(10.0)
        assert ear.pipeline.held_bytes == 0
        nursery.cancel_scope.cancel(reason="seen")
