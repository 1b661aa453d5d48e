"""Finding a click or beep at the very beginning of a recording, before anybody speaks."""

from __future__ import annotations

import math
import sys
from array import array

_FRAME = 480  # samples: 30 ms at 16 kHz
_STARTS_WITHIN = 3  # frames
_LONGEST_PEAK = 10  # frames: the loudest one of a click comes early
_QUIET = 0.55  # of that loudest one, in amplitude
_QUIET_FRAMES = 8
_SPEECH = 0.5


def leading_burst(pcm: bytes) -> int:
    """How many bytes of `pcm` (PCM16 mono, 16 kHz) are a burst of sound at its start, or 0.

    A burst sounds from the start, falls below half within 0.3 s and stays there for 0.24 s at
    least, and something as loud follows: speech that begins with the recording does not do so.
    """
    samples = array("h", pcm[: len(pcm) & ~1])
    if sys.byteorder == "big":
        samples.byteswap()
    levels = [
        math.sqrt(sum(sample * sample for sample in samples[at : at + _FRAME]) / _FRAME)
        for at in range(0, len(samples) - _FRAME + 1, _FRAME)
    ]
    if len(levels) < _LONGEST_PEAK + _QUIET_FRAMES:
        return 0
    peak = max(range(_LONGEST_PEAK), key=levels.__getitem__)
    loud = levels[peak]
    if max(levels[:_STARTS_WITHIN]) < loud / 4:
        return 0
    fall = range(peak, _LONGEST_PEAK + 1)
    quiet = next((n for n in fall if levels[n] < _QUIET * loud), None)
    if quiet is None or max(levels[quiet : quiet + _QUIET_FRAMES]) >= _QUIET * loud:
        return 0
    follows = max(levels[quiet + _QUIET_FRAMES :], default=0.0) >= _SPEECH * loud
    return 2 * _FRAME * quiet if follows else 0
