"""The speech that the benches say: a recording with a known start and end of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from voiced.audio.energy import find_speech
from voiced.audio.files import Recording, read_pcm16, to_pcm16
from voiced.cli.engines import open_engine
from voiced.client.microphone import INPUT_RATE_HZ, Microphone
from voiced.engines.clients import EngineTts
from voiced.errors import AudioError, EngineFailed
from voiced.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SENTENCE: Final = "what time is it"
# A room before the speech: a detector that wakes at the first sample would be flattered.
_LEAD_IN: Final = bytes(INPUT_RATE_HZ * 2 * 3 // 10)


class Clip(msgspec.Struct, frozen=True):
    """PCM16 mono at 24 kHz, and where in it the speech is, in seconds."""

    pcm: bytes
    onset_s: float
    end_s: float
    source: str

    def delayed(self, seconds: float) -> Clip:
        """The same after so much more silence."""
        silent = bytes(round(seconds * INPUT_RATE_HZ) * 2)
        shift_s = len(silent) / 2 / INPUT_RATE_HZ
        return Clip(silent + self.pcm, self.onset_s + shift_s, self.end_s + shift_s, self.source)

    def microphone(self, frame_ms: int) -> Microphone:
        """A microphone that speaks this once."""
        return Microphone(
            self.pcm, frame_ms=frame_ms, end_of_speech_s=self.end_s, onset_s=self.onset_s
        )


def make_clip(pcm: bytes, source: str, *, end_ms: float | None = None) -> Clip:
    """A clip of `pcm`, its speech found by energy. Raises `AudioError` where there is none."""
    span = find_speech(pcm, INPUT_RATE_HZ)
    if span is None:
        raise AudioError(f"{source} holds no speech")
    end_s = span.end_s if end_ms is None else end_ms / 1000
    return Clip(pcm, span.start_s, end_s, source)


def load_clip(path: Path, *, end_ms: float | None = None) -> Clip:
    """A clip from a WAV file; `end_ms` overrides where its speech ends. Raises `AudioError`."""
    return make_clip(read_pcm16(path, INPUT_RATE_HZ), path.name, end_ms=end_ms)


async def synthesise_clip(sentence: str = SENTENCE) -> Clip:
    """`sentence` by the espeak engine, after 0.3 s of silence."""
    pcm, rate_hz = bytearray(), 0
    async with (
        open_engine(Settings(), "tts") as host,
        EngineTts(host).speak(sentence) as chunks,
    ):
        async for chunk in chunks:
            pcm += chunk.pcm
            rate_hz = chunk.sample_rate
    if not pcm:
        raise EngineFailed("the espeak engine made no sound")
    samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
    spoken = to_pcm16(Recording(samples, rate_hz), INPUT_RATE_HZ)
    return make_clip(_LEAD_IN + spoken, f"espeak: {sentence}")
