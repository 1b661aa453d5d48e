"""End-of-turn detection by silence (`server_vad`), pure: probabilities in, turn events out.

Silero's probability stays high for about 60 ms after the last sound. Waiting for it would add
that to every answer, so the silence is counted from where the sound itself fell, once Silero
agrees that nobody speaks; by at most `BACKDATE_MS`, so that a quiet last consonant is safe.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from voiced.audio.pcm import SPEECH_CHUNK, SPEECH_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = SPEECH_CHUNK
FRAME = 128
"""Samples of one level frame: 8 ms."""

ONSET_CHUNKS = 2
"""Chunks above the threshold that make speech, at least: a single click is one."""

RELEASE = 0.15
"""How far below the threshold the probability must fall to end speech (Silero's own rule) ..."""

SILENCE = 0.01
"""... but never lower than this, or speech would have no end under a low threshold."""

BACKDATE_MS = 96
FLOOR_RATIO = 2.5
"""A sound is audible 8 dB above the room's floor ..."""

PEAK_RATIO = 0.05
"""... and no more than 26 dB below the voice's loudest frame."""

QUIET_RMS = 1e-4
SAMPLES_PER_MS = SPEECH_HZ // 1000


class Started(Struct, frozen=True):
    """Speech began at this sample (16 kHz, counted from the stream's first)."""

    sample: int


class Stopped(Struct, frozen=True):
    """The silence window is over at this sample; speech ended at `speech_end`."""

    sample: int
    speech_end: int


class Memory(Struct, frozen=True, kw_only=True):
    """All that a detector remembers of its stream, so that another one may go on."""

    position: int
    speaking: bool
    onset: int
    end: int | None
    sounding_until: int
    floor: float | None
    peak: float


class TurnDetector:
    """Follows one stream. Feed it every chunk in order; it keeps no audio."""

    def __init__(self, *, acoustic_end: bool = True) -> None:
        self.threshold = 0.5
        self.silence_samples = 200 * SAMPLES_PER_MS
        self.acoustic_end = acoustic_end
        self.position = 0
        self.speaking = False
        self.onset_chunks = ONSET_CHUNKS
        self._onset = 0
        self._end: int | None = None
        self._sounding_until = 0
        self._floor: float | None = None
        self._peak = 0.0

    def require(self, milliseconds: float) -> None:
        """Speech must last that long to be noticed; never less than `ONSET_CHUNKS`."""
        self.onset_chunks = max(ONSET_CHUNKS, ceil(milliseconds * SAMPLES_PER_MS / CHUNK))

    @property
    def silent_since(self) -> int | None:
        """The sample at which the running silence began; None while there is sound."""
        return self._end

    @property
    def deadline(self) -> int | None:
        """The sample at which the running silence is long enough; None while there is none."""
        return None if self._end is None else self._end + self.silence_samples

    def push(self, probability: float, samples: NDArray[np.float32]) -> Started | Stopped | None:
        """Take in one chunk of 512 samples with its probability of speech."""
        begin, self.position = self.position, self.position + CHUNK
        self._listen(begin, samples)
        if not self.speaking:
            return self._await_onset(begin, probability)
        if probability >= self.threshold:
            self._end = None
        elif self._end is None and probability < max(self.threshold - RELEASE, SILENCE):
            self._end = self._silence_since(begin)
        return self._stop_if_due(self.position)

    def quiet(self, samples: int, rms: float) -> Stopped | None:
        """Samples beyond the last chunk are silent too: end the turn where that is enough.

        Spares the wait for a whole chunk; `rms` is the level of those samples.
        """
        if self._end is None or rms > self._audible():
            return None
        return self._stop_if_due(self.position + samples)

    @property
    def memory(self) -> Memory:
        """What was learned of the stream so far; settings are no part of it."""
        return Memory(
            position=self.position,
            speaking=self.speaking,
            onset=self._onset,
            end=self._end,
            sounding_until=self._sounding_until,
            floor=self._floor,
            peak=self._peak,
        )

    @memory.setter
    def memory(self, memory: Memory) -> None:
        self.position = memory.position
        self.speaking = memory.speaking
        self._onset = memory.onset
        self._end = memory.end
        self._sounding_until = memory.sounding_until
        self._floor = memory.floor
        self._peak = memory.peak

    def reset(self) -> None:
        """Nobody speaks; levels learned so far are kept."""
        self.speaking = False
        self._onset = 0
        self._end = None

    def skip(self, samples: int) -> None:
        """Count samples that were never analysed."""
        self.position += samples

    def _await_onset(self, begin: int, probability: float) -> Started | None:
        # Once there is speech, it may waver a little while it must last longer.
        sure = self.threshold
        if self._onset >= ONSET_CHUNKS:
            sure = max(self.threshold - RELEASE, SILENCE)
        if probability < sure:
            self._onset = 0
            return None
        self._onset += 1
        if self._onset < self.onset_chunks:
            return None
        self.speaking = True
        self._end = None
        self._onset = 0
        return Started(begin - (self.onset_chunks - 1) * CHUNK)

    def _stop_if_due(self, now: int) -> Stopped | None:
        if self._end is None or now - self._end < self.silence_samples:
            return None
        stopped = Stopped(now, self._end)
        self.reset()
        return stopped

    def _silence_since(self, begin: int) -> int:
        if not self.acoustic_end:
            return begin
        earliest = begin - BACKDATE_MS * SAMPLES_PER_MS
        return min(max(self._sounding_until, earliest), begin)

    def _audible(self) -> float:
        return max((self._floor or QUIET_RMS) * FLOOR_RATIO, self._peak * PEAK_RATIO)

    def _listen(self, begin: int, samples: NDArray[np.float32]) -> None:
        """Learn the levels of room and voice, and where sound was last heard."""
        # Four levels a chunk: plain floats are a third of the cost of further numpy calls.
        frames = samples.reshape(-1, FRAME)
        powers: list[float] = np.einsum("ij,ij->i", frames, frames).tolist()
        quietest = max(sqrt(min(powers) / FRAME), QUIET_RMS)
        if self._floor is None or quietest < self._floor:
            self._floor = quietest
        elif not self.speaking:
            self._floor = min(quietest, self._floor * 1.05)
        loudest = sqrt(max(powers) / FRAME)
        self._peak = max(self._peak * 0.99, loudest) if self.speaking else loudest
        audible = self._audible() ** 2 * FRAME
        for number in range(len(powers), 0, -1):
            if powers[number - 1] > audible:
                self._sounding_until = begin + number * FRAME
                break
