"""Guards against what Whisper makes up: loops, and text where nobody spoke. Pure.

On windows shorter than the 30 s that it was trained on Whisper may say a phrase on and on; on
silence it tells what people say at the end of films.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS_PER_S = 12
TOKENS_BESIDES = 24
"""Fast English is 7 tokens a second, and scripts that the vocabulary knows badly up to 10. Who
reaches the bound is decoded again without it, so that a wrong one costs time only."""

LONGEST_PERIOD = 24
LEAST_ROUNDS = 4
LEAST_LOOP = 16
"""A loop: a phrase of up to so many tokens, said so many times on end, so many tokens in all.
Four times is what people do not say of a phrase, nor sixteen times of a word."""

MOST_COMPRESSION = 2.4
NO_SPEECH = 0.6
LEAST_LOGPROB = -1.0
"""Whisper's own thresholds: `whisper/transcribe.py` of OpenAI."""

SILENT = 10 ** (-60 / 20)
"""A recording that stays below -60 dB of full scale holds no speech, whatever a model says."""


def token_cap(duration_s: float) -> int:
    """So many tokens may a short window of that much audio give."""
    return TOKENS_BESIDES + math.ceil(TOKENS_PER_S * duration_s)


def find_loop(tokens: Sequence[int]) -> int | None:
    """Where the loop begins that `tokens` end in, one round of it kept; None without one."""
    count = len(tokens)
    for period in range(1, min(LONGEST_PERIOD, count // LEAST_ROUNDS) + 1):
        same = 0
        while same + period < count and tokens[-1 - same] == tokens[-1 - same - period]:
            same += 1
        repeated = same + period
        if repeated >= LEAST_LOOP and repeated // period >= LEAST_ROUNDS:
            return count - same
    return None


def compression(text: str) -> float:
    """How many times shorter zlib makes the text; much repetition gives much."""
    data = text.encode("utf-8")
    return len(data) / len(zlib.compress(data)) if data else 0.0


def is_repetitive(text: str) -> bool:
    """Whether the text as a whole repeats itself more than speech does."""
    return compression(text) > MOST_COMPRESSION


def is_invented(no_speech_prob: float, avg_logprob: float) -> bool:
    """Whether the model thinks that nobody spoke, and is unsure of the text that it gave."""
    return no_speech_prob > NO_SPEECH and avg_logprob < LEAST_LOGPROB
