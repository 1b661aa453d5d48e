"""Resampling with soxr: without delay on the way in, streaming on the way out.

A soxr stream holds back 30 ms and more and then gives it in lumps, which is time that the
person waits after each sentence. So the way in resamples overlapping blocks whole: 4 ms of
context on the left, 3 ms of lookahead on the right, 68 dB below the signal from a resampling
of the entire recording, and no native state to keep for each session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_CHUNK, SPEECH_HZ, WIRE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = SPEECH_CHUNK
"""Samples at 16 kHz in one output chunk."""

STEP = CHUNK * WIRE_HZ // SPEECH_HZ
"""Samples at 24 kHz that make one chunk (768)."""

LEFT = 96
RIGHT = 72


class ChunkResampler:
    """24 kHz PCM16 in any portions to whole chunks of 512 samples at 16 kHz.

    Keeps what does not yet fill a chunk. One owner; nothing to close.
    """

    def __init__(self) -> None:
        self._context = bytes(LEFT * SAMPLE_BYTES)

    def chunks(self, pending: bytearray, most: int) -> NDArray[np.int16]:
        """Take up to `most` chunks off the front of `pending`; shape (n * 512,), maybe empty."""
        ready = (len(pending) // SAMPLE_BYTES - RIGHT) // STEP
        count = min(ready, most)
        if count <= 0:
            return np.empty(0, np.int16)
        taken = count * STEP * SAMPLE_BYTES
        block = self._context + bytes(pending[: taken + RIGHT * SAMPLE_BYTES])
        self._context = bytes(pending[taken - LEFT * SAMPLE_BYTES : taken])
        del pending[:taken]
        start = LEFT * SPEECH_HZ // WIRE_HZ
        resampled: NDArray[np.int16] = soxr.resample(
            np.frombuffer(block, "<i2"), WIRE_HZ, SPEECH_HZ
        )
        return resampled[start : start + count * CHUNK]

    def reset(self) -> None:
        """Forget the context: what comes next does not continue what came before."""
        self._context = bytes(LEFT * SAMPLE_BYTES)


def resample_whole(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Resample a complete piece of PCM16. Blocks for about 1 ms for each second of audio."""
    if from_hz == to_hz or not pcm:
        return pcm
    resampled: NDArray[np.int16] = soxr.resample(np.frombuffer(pcm, "<i2"), from_hz, to_hz)
    return resampled.tobytes()


class StreamResampler:
    """PCM16 at one rate to PCM16 at another, in portions; `flush` gives the rest."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz = from_hz
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="HQ")
        )

    def resample(self, pcm: bytes) -> bytes:
        """What is ready after adding `pcm`."""
        if self._stream is None:
            return pcm
        ready: NDArray[np.int16] = self._stream.resample_chunk(np.frombuffer(pcm, "<i2"))
        return ready.tobytes()

    def flush(self) -> bytes:
        """The rest; the stream takes nothing after this."""
        if self._stream is None:
            return b""
        rest: NDArray[np.int16] = self._stream.resample_chunk(np.empty(0, np.int16), last=True)
        self._stream = None
        return rest.tobytes()
