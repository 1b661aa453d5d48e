"""G.711, the audio of telephones: µ-law and A-law, one byte a sample at 8 kHz.

By table in both directions, and the tables from the definition: ITU-T G.711 (11/1988), tables
1a to 2b. A code is a sign, a segment of three bits and a step of four; segments double in step
size. What lies between two codes goes the way of Sun Microsystems' g711.c, which SoX and Python's
own audioop followed: samples are cut to the 14 or 13 bits that the recommendation counts in, and
then to the step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

HZ: Final = 8_000

MULAW_SILENCE: Final = 0xFF
ALAW_SILENCE: Final = 0xD5

_BIAS: Final = 33
_MULAW_CLIP: Final = 8_158
"""The largest magnitude of 14 bits that does not leave the last segment once biased."""


def decode_mulaw(codes: bytes) -> NDArray[np.int16]:
    """µ-law to 16-bit samples, shape (len(codes),), at most 32,124 in magnitude."""
    return _MULAW_SAMPLES[np.frombuffer(codes, np.uint8)]


def decode_alaw(codes: bytes) -> NDArray[np.int16]:
    """A-law to 16-bit samples, shape (len(codes),), at most 32,256 in magnitude."""
    return _ALAW_SAMPLES[np.frombuffer(codes, np.uint8)]


def encode_mulaw(samples: NDArray[np.int16]) -> bytes:
    """16-bit samples to µ-law, one byte each; what is louder than they reach is clipped."""
    return _MULAW_CODES[samples.view(np.uint16)].tobytes()


def encode_alaw(samples: NDArray[np.int16]) -> bytes:
    """16-bit samples to A-law, one byte each."""
    return _ALAW_CODES[samples.view(np.uint16)].tobytes()


def _mulaw_samples() -> NDArray[np.int16]:
    # On the line all bits of µ-law are inverted, so that silence has many ones.
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment, step = code >> 4 & 7, code & 15
    magnitude = (((step << 1) + _BIAS) << segment) - _BIAS << 2
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _alaw_samples() -> NDArray[np.int16]:
    # On the line the even bits of A-law are inverted.
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = code >> 4 & 7, code & 15
    # Half a step more: decoding gives the middle of what was coded.
    magnitude = np.where(
        segment == 0, (step << 4) + 8, ((step << 4) + 0x108) << np.maximum(segment - 1, 0)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _every_sample() -> NDArray[np.int32]:
    """All 65,536 samples, each at the place that its bits name as an unsigned number."""
    return np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)


def _mulaw_codes() -> NDArray[np.uint8]:
    linear = _every_sample() >> 2
    magnitude = np.minimum(np.abs(linear), _MULAW_CLIP) + _BIAS
    segment = np.log2(magnitude >> 5).astype(np.int32)
    code = segment << 4 | (magnitude >> (segment + 1) & 15)
    codes: NDArray[np.uint8] = (~np.where(linear < 0, code | 0x80, code) & 0xFF).astype(np.uint8)
    return codes


def _alaw_codes() -> NDArray[np.uint8]:
    linear = _every_sample() >> 3
    # Zero is the first step above and -1 the first below: the complement, not the negative.
    magnitude = np.where(linear < 0, ~linear, linear)
    # The first two segments have the same step, so that the first begins at zero.
    segment = np.log2(np.maximum(magnitude >> 4, 1)).astype(np.int32)
    shift = np.maximum(segment, 1)
    code = segment << 4 | (magnitude >> shift & 15)
    codes: NDArray[np.uint8] = (np.where(linear < 0, code, code | 0x80) ^ 0x55).astype(np.uint8)
    return codes


_MULAW_SAMPLES: Final = _mulaw_samples()
_ALAW_SAMPLES: Final = _alaw_samples()
_MULAW_CODES: Final = _mulaw_codes()
_ALAW_CODES: Final = _alaw_codes()
