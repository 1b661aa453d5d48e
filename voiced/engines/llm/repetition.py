"""Whether a model has fallen into saying the same again and again, as small ones do.

Nothing else ends such an answer before the context is full, and somebody has to listen to it.
"""

from __future__ import annotations

import numpy as np

LONGEST = 128
"""Tokens of what is repeated, at most: a long paragraph."""

TIMES = 4
"""How often it comes in a row, to the letter, at the least."""

LEAST = 128
"""Tokens that all of that has at the least: of a sentence of 10 it is the thirteenth time, after
half a minute of speech. A refrain, a chant and what somebody asks to be said ten times are over
long before; lists, and songs that count, change from line to line."""

_LENGTHS = np.arange(1, LONGEST + 1)
_ENOUGH = np.maximum(TIMES * _LENGTHS, LEAST) - _LENGTHS


class Repetition:
    """Looks at the tokens of one answer as they come."""

    def __init__(self) -> None:
        self._newest = np.full(LONGEST, -1, np.int64)
        """The last tokens, the newest first."""
        self._alike = np.zeros(LONGEST, np.int64)
        """For each distance, how many tokens in a row were the one that stands so far back."""

    def goes_on(self, token: int) -> bool:
        """Take the next token; whether it is still the same that comes again and again."""
        self._alike = np.where(self._newest == token, self._alike + 1, 0)
        self._newest[1:] = self._newest[:-1].copy()
        self._newest[0] = token
        return bool((self._alike >= _ENOUGH).any())
