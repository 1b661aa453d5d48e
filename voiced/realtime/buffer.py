"""The input audio buffer of one session: what a client sent, as it came, until it is an item."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.audio.chunks import ChunkBuffer
from voiced.audio.formats import PCM, WireFormat
from voiced.audio.pcm import SPEECH_HZ
from voiced.audio.resample import CHUNK, ChunkResampler, to_speech

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class InputBuffer:
    """Audio in one format, bounded by `most_s` seconds. Pure; nothing to close.

    `pending` waits to be analysed. What was analysed is kept on as it came for as long as it may
    become part of an item: the padding before speech, and then the turn.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self.dropped_bytes = 0
        self.use(PCM)

    def use(self, form: WireFormat) -> None:
        """Forget everything; what comes next is in that format."""
        self.form = form
        self._most_bytes = form.bytes_for_ms(self._most_s * 1000)
        self._resampler = ChunkResampler(form)
        self.pending = bytearray()
        self._heard = ChunkBuffer()

    def feed(self, audio: bytes) -> int:
        """Add audio as it came. Too much drops the oldest that is pending.

        Returns how many samples at 16 kHz that was.
        """
        self.pending += audio
        surplus = len(self.pending) - self._most_bytes
        if surplus <= 0:
            return 0
        self.dropped_bytes += surplus
        del self.pending[:surplus]
        return self.speech_samples(surplus)

    def take(self, most: int) -> tuple[NDArray[np.int16], bytes]:
        """Up to `most` chunks to analyse, at 16 kHz and as they came; see `ChunkResampler`."""
        return self._resampler.chunks(self.pending, most)

    def keep(self, audio: bytes) -> None:
        """Analysed, and perhaps part of an item."""
        self._heard.append(audio)

    def trim(self, milliseconds: float) -> None:
        """Of what was analysed, little more than the last so many milliseconds is needed."""
        self._heard.trim(self.form.bytes_for_ms(milliseconds))

    def keep_last(self, samples: int) -> None:
        """Of what was analysed only the last `samples` at 16 kHz belong to the turn."""
        whole = -(-samples * self.form.rate_hz // SPEECH_HZ)
        self._heard.keep_last(whole * self.form.sample_bytes)

    @property
    def step_bytes(self) -> int:
        """Bytes of a chunk."""
        return self._resampler.step_bytes

    @property
    def heard_samples(self) -> int:
        """Samples at 16 kHz of what was analysed and kept."""
        return self.speech_samples(len(self._heard))

    @property
    def pending_samples(self) -> int:
        """Samples at 16 kHz of what is to be analysed."""
        return self.speech_samples(len(self.pending))

    @property
    def is_overfull(self) -> bool:
        """Whether a turn has become as long as the bound allows."""
        return len(self._heard) > self._most_bytes

    @property
    def size_bytes(self) -> int:
        """What is kept, in bytes."""
        return len(self.pending) + len(self._heard)

    @property
    def size_ms(self) -> float:
        """What is kept, in milliseconds: what a commit would take."""
        return self.form.duration_ms(self.size_bytes)

    def speech_samples(self, size_bytes: int) -> int:
        """Samples at 16 kHz that so many bytes make."""
        return self.form.samples(size_bytes) * SPEECH_HZ // self.form.rate_hz

    def as_speech(self, last_chunk: NDArray[np.int16]) -> bytes:
        """What was analysed and kept, as PCM16 at 16 kHz.

        `last_chunk` is its end as it was analysed, with the sound that follows it: resampled
        without that, the end would click.
        """
        samples = to_speech(self._heard.join(), self.form)
        end = min(len(samples), CHUNK)
        samples[len(samples) - end :] = last_chunk[CHUNK - end :]
        return samples.tobytes()

    def join(self, *, pending: bool) -> bytes:
        """What was analysed and kept, with or without what is still to be; as it came."""
        return self._heard.join() + bytes(self.pending) if pending else self._heard.join()

    def clear(self, *, pending: bool) -> None:
        """Forget what was kept, and maybe what is still to be analysed."""
        self._heard.clear()
        if pending:
            self.pending.clear()
            self._resampler.reset()
