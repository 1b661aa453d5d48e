"""Where speech begins and ends in a recording, by its energy: the yardstick of the latencies.

This is deliberately not the daemon's voice activity detection: a measure must not be made
with the thing it measures. It looks at the whole recording, which a detector cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WINDOW_S: Final = 0.010
_SHORTEST_RUN: Final = 4
_SILENCE_DB: Final = -70.0
# Where between the noise (0) and the loud parts (1) the line is drawn: above the rustle of a
# room, below the decay of a last vowel.
_LINE: Final = 0.3
_MOST_CONTRAST_DB: Final = 50.0
_LEAST_CONTRAST_DB: Final = 20.0


class SpeechSpan(msgspec.Struct, frozen=True):
    """The first and the last moment of speech, in seconds from the start of the recording."""

    start_s: float
    end_s: float


def find_speech(pcm: bytes, rate_hz: int) -> SpeechSpan | None:
    """Find the speech in PCM16 mono at `rate_hz`; None where nothing stands out of silence.

    The level is the RMS of windows of 10 ms. The loud parts are the 95th percentile of the
    windows above -70 dB of full scale; the noise is the 10th percentile of all, taken to lie 20
    to 50 dB below them (speech throughout has no noise to show, digital silence too little).
    A window is loud at 0.3 of the way up from noise to loud parts. Speech spans from the first
    to the last run of at least four loud windows, so a click alone is none. Good to about two
    windows for one speaker in steady noise.
    """
    level_db = _levels_db(np.frombuffer(pcm, "<i2"), round(rate_hz * _WINDOW_S))
    audible = level_db[level_db > _SILENCE_DB]
    if not len(audible):
        return None
    peak_db = float(np.percentile(audible, 95))
    noise_db = float(np.percentile(level_db, 10))
    noise_db = min(max(noise_db, peak_db - _MOST_CONTRAST_DB), peak_db - _LEAST_CONTRAST_DB)
    threshold_db = max(noise_db + _LINE * (peak_db - noise_db), _SILENCE_DB)
    loud = level_db >= threshold_db
    runs = np.convolve(loud, np.ones(_SHORTEST_RUN, int), "valid") == _SHORTEST_RUN
    starts = np.flatnonzero(runs)
    if not len(starts):
        return None
    return SpeechSpan(float(starts[0] * _WINDOW_S), float((starts[-1] + _SHORTEST_RUN) * _WINDOW_S))


def _levels_db(samples: NDArray[np.int16], window: int) -> NDArray[np.float64]:
    """RMS in dB of full scale of each whole window; -120 for digital silence."""
    whole = len(samples) // window * window
    power = np.square(samples[:whole].astype(np.float64) / 32768.0).reshape(-1, window)
    level_db: NDArray[np.float64] = 10.0 * np.log10(power.mean(axis=1) + 1e-12)
    return level_db
