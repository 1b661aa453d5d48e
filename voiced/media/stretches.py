"""Cutting a recording into stretches of speech at its silences, with bounded memory. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.media.wire import CutPoint, DecodeJob, Stretch
from voiced.turns.detector import CHUNK, Started, Stopped, TurnDetector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_BATCH = 64
"""Chunks that the detector looks at together: 2 s of sound."""

_SEARCHED = 1 / 3
"""Where speech goes on too long it is cut at the quietest place of so much of its end."""


class Listener(Protocol):
    """Tells speech in one stream, and can be made to go on where another one was."""

    def hear(self, samples: NDArray[np.float32]) -> list[float]:
        """The probability of speech for each chunk of 512 samples; they continue the stream."""
        ...

    def to_bytes(self) -> bytes:
        """What it remembers of the stream."""
        ...

    def restore(self, data: bytes) -> None:
        """Remember what another one did."""
        ...


class Cutter:
    """Push PCM16 mono at 16 kHz in any portions; get stretches, in order and apart.

    A stretch begins up to the prefix before its speech, though not in the one before, and
    includes the silence that ended it, as the turns of a conversation do. Where the job goes on
    from a `CutPoint`, the recording is pushed from its beginning all the same.
    """

    def __init__(self, job: DecodeJob, listener: Listener) -> None:
        self._listener = listener
        self._whole = job.whole
        self._longest = int(job.longest_s * SPEECH_HZ) // CHUNK * CHUNK
        self._prefix = job.prefix_ms * SPEECH_HZ // 1000
        self._detector = TurnDetector(acoustic_end=job.acoustic_end)
        self._detector.threshold = job.threshold
        self._detector.silence_samples = job.silence_ms * SPEECH_HZ // 1000
        self._pending = bytearray()
        self._kept = bytearray()  # sound, and the probability of speech for each chunk of it
        self._probabilities: list[float] = []
        self._kept_from = 0  # the sample that both begin with
        self._open: tuple[int, int] | None = (0, 0) if job.whole else None  # stretch, its speech
        self._end = 0  # of the last stretch
        self._passed = 0  # stretches of this batch, and those of it that somebody has already
        self._known = 0
        self._unread = 0  # bytes at the beginning that nothing is to be learned from any more
        if job.resume is not None:
            self._resume(job.resume)
        self._before = self._remember()

    def _remember(self) -> CutPoint:
        """Where the cutting stands, between two batches."""
        return CutPoint(
            passed=0,
            kept_from=self._kept_from,
            open=self._open,
            end=self._end,
            probabilities=np.array(self._probabilities, np.float32).tobytes(),
            listener=self._listener.to_bytes(),
            detector=self._detector.memory,
        )

    def _resume(self, point: CutPoint) -> None:
        self._known = point.passed
        self._kept_from = point.kept_from
        self._open = point.open
        self._end = point.end
        self._probabilities = np.frombuffer(point.probabilities, np.float32).tolist()
        self._listener.restore(point.listener)
        self._detector.memory = point.detector
        self._unread = point.kept_from * SAMPLE_BYTES

    def _read_again(self, pcm: bytes) -> bytes:
        """Of the part that was listened to once, keep what a stretch may begin with; return the
        rest."""
        skipped = min(self._unread, len(pcm))
        self._unread -= skipped
        missing = (self._detector.position - self._kept_from) * SAMPLE_BYTES - len(self._kept)
        self._kept += pcm[skipped : skipped + missing]
        return pcm[skipped + missing :]

    def push(self, pcm: bytes) -> Iterator[Stretch]:
        """The stretches that end in this portion."""
        self._pending += self._read_again(pcm)
        batch = _BATCH * CHUNK * SAMPLE_BYTES
        while len(self._pending) >= batch:
            yield from self._look(bytes(self._pending[:batch]))
            del self._pending[:batch]

    def finish(self) -> Iterator[Stretch]:
        """The rest of the recording, filled up with silence to a whole chunk."""
        left = bytes(self._pending)
        self._pending.clear()
        end = self._detector.position + len(left) // SAMPLE_BYTES
        if left:
            chunk_bytes = CHUNK * SAMPLE_BYTES
            yield from self._look(left + bytes(-len(left) % chunk_bytes))
        if self._open is not None and end > self._open[0]:
            yield from self._take(end, min(end, self._detector.position))

    def _look(self, pcm: bytes) -> Iterator[Stretch]:
        self._before = self._remember()
        self._passed = 0
        samples = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768.0
        for index, probability in enumerate(self._listener.hear(samples)):
            begin = index * CHUNK
            self._kept += pcm[begin * SAMPLE_BYTES : (begin + CHUNK) * SAMPLE_BYTES]
            self._probabilities.append(probability)
            event = self._detector.push(probability, samples[begin : begin + CHUNK])
            yield from self._follow(event)
            self._forget()

    def _follow(self, event: Started | Stopped | None) -> Iterator[Stretch]:
        now = self._detector.position
        if self._whole:
            pass
        elif isinstance(event, Started):
            self._open = (max(event.sample - self._prefix, self._end, 0), event.sample)
        elif isinstance(event, Stopped) and self._open is not None:
            yield from self._take(event.sample, event.speech_end)
            self._open = None
        if self._open is not None and now - self._open[0] >= self._longest:
            cut = self._quietest(now)
            yield from self._take(cut, cut)
            self._open = (cut, cut)

    def _quietest(self, now: int) -> int:
        """The end of the chunk that is speech the least, in the last part of the open stretch."""
        assert self._open is not None
        earliest = now - int(self._longest * _SEARCHED)
        offset = max(0, (earliest - self._kept_from) // CHUNK)
        searched = self._probabilities[offset:]
        return self._kept_from + (offset + searched.index(min(searched)) + 1) * CHUNK

    def _take(self, end: int, speech_end: int) -> Iterator[Stretch]:
        assert self._open is not None
        start, speech_start = self._open
        self._end = end
        self._passed += 1
        if self._known:
            self._known -= 1
            return
        first, last = ((at - self._kept_from) * SAMPLE_BYTES for at in (start, end))
        spoken = slice(
            (speech_start - self._kept_from) // CHUNK, -(-(speech_end - self._kept_from) // CHUNK)
        )
        heard = self._probabilities[spoken]
        yield Stretch(
            start_s=start / SPEECH_HZ,
            end_s=end / SPEECH_HZ,
            speech_start_s=speech_start / SPEECH_HZ,
            speech_end_s=max(speech_end, speech_start) / SPEECH_HZ,
            speech_prob=sum(heard) / len(heard) if heard else 0.0,
            pcm=bytes(self._kept[first:last]),
            after=msgspec.structs.replace(self._before, passed=self._passed),
        )

    def _forget(self) -> None:
        """Keep the open stretch, or what the next one may begin with."""
        begun = self._detector.position - self._prefix - 4 * CHUNK
        first = max(self._end, begun) if self._open is None else self._open[0]
        surplus = max(0, first - self._kept_from) // CHUNK * CHUNK
        if surplus:
            del self._kept[: surplus * SAMPLE_BYTES]
            self._kept_from += surplus
            del self._probabilities[: surplus // CHUNK]
