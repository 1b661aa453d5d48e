"""Cutting audio of any length into windows that Whisper takes, at its quietest places. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
WINDOW = 30 * RATE
SEARCHED = 10 * RATE
"""A window is cut in its last third."""

LEVEL = RATE // 50
"""Samples that a level is taken of: 20 ms."""
PAUSE = 10
"""Levels that a pause has: the place to cut at is the quietest 0.2 s."""

TAIL = 10 ** (-26 / 20)
NOISE = 10 ** (6 / 20)
MOST_NOISE = 10 ** (-12 / 20)
"""Sound adds no word to the speech before it where it is so much quieter than that, or, in a noisy
room, no more than so much louder than the noise; unless the third says that this may be a word."""
ROOM = 8
"""Levels at the start of an utterance that are the room: it begins with the padding of turns."""


def to_samples(pcm: bytes) -> NDArray[np.float32]:
    """PCM16 as floats of -1 to 1."""
    samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.float32)
    samples /= 32768
    return samples


def find_cut(samples: NDArray[np.float32], begin: int, end: int) -> int:
    """Where to cut a window: the middle of the quietest pause between these two places."""
    found = levels(samples[begin:end])
    pauses = np.convolve(found**2, np.ones(PAUSE), "valid")
    # The last of several equal ones: longer windows give the model more to go by.
    quietest = len(pauses) - 1 - int(np.argmin(pauses[::-1]))
    return begin + (quietest + PAUSE // 2) * LEVEL


def levels(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The root mean square of each `LEVEL` samples; a rest counts as one too."""
    rest = len(samples) % LEVEL
    filled = np.pad(samples, (0, LEVEL - rest)) if rest else samples
    means: NDArray[np.float32] = np.sqrt(np.square(filled.reshape(-1, LEVEL)).mean(axis=1))
    return means


def adds_nothing(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Whether what was heard `before` is all there is, since only quiet came `after`."""
    if not len(after):
        return True
    if not len(before):
        return False
    heard = levels(before)
    speech = float(np.quantile(heard, 0.9))
    noise = float(heard[:ROOM].max()) * NOISE
    quiet = max(noise, speech * TAIL) if noise <= speech * MOST_NOISE else speech * TAIL
    return float(levels(after).max()) <= quiet
