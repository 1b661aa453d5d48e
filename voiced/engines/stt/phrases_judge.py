"""Whether what was heard was really said: the speech is compared with free phones.

A grammar search always finds its best sentence, also in a cough. Beside it, a loop of phones
without any grammar follows the same speech. Words that were said are almost as likely as the
loop's best phones; words that were not are far less likely.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

# In nats a frame of 10 ms, found on recordings of people and of a neural voice: sentences that
# were said lie at 0.6 to 2.3, speech that no sentence allows at 2.4 to 5, with few between.
MOST_MISFIT = 2.4
MOST_WORD_MISFIT = 5.5
_FULL_WORD_FRAMES = 20  # in a shorter word a bad fit says less
_UNHEARD = 1.0  # what as much speech outside of the words as in them adds
_STEEPNESS = 2.0
_MOST_FRAMES_A_LETTER = 28


class Stretch(msgspec.Struct, frozen=True):
    """A word or phone from frame `first` to `last`, with its log-likelihood in nats."""

    name: str
    first: int
    last: int
    score: float

    @property
    def frames(self) -> int:
        """How long it is."""
        return self.last - self.first + 1


class Verdict(msgspec.Struct, frozen=True):
    """Whether to believe it, and how much: 0 to 1, 0.5 where `misfit` is at its limit.

    `misfit` is the likelihood lost against free phones, and speech that no word covers.
    """

    accepted: bool
    confidence: float
    misfit: float
    reason: str = ""


def judge(words: Sequence[Stretch], phones: Sequence[Stretch]) -> Verdict:
    """Judge words (no silences among them) against the phones of the same utterance.

    A phone that is no speech has an empty name.
    """
    free: dict[int, float] = {}
    speech: set[int] = set()
    for phone in phones:
        frames = range(phone.first, phone.last + 1)
        free.update(dict.fromkeys(frames, phone.score / phone.frames))
        if phone.name:
            speech.update(frames)
    total = worst = 0.0
    for word in words:
        frames = range(word.first, word.last + 1)
        lost = sum(free.get(frame, 0.0) for frame in frames) - word.score
        total += lost
        worst = max(worst, lost / max(word.frames, _FULL_WORD_FRAMES))
    spoken = sum(word.frames for word in words)
    if not spoken:
        return Verdict(False, 0.0, math.inf, "no words")
    covered = {frame for word in words for frame in range(word.first, word.last + 1)}
    misfit = total / spoken + _UNHEARD * len(speech - covered) / spoken
    confidence = 1.0 / (1.0 + math.exp(_STEEPNESS * min(misfit - MOST_MISFIT, 50.0)))
    reason = ""
    if misfit > MOST_MISFIT:
        reason = f"misfit {misfit:.2f}"
    elif worst > MOST_WORD_MISFIT:
        reason = f"a word's misfit {worst:.2f}"
    elif any(word.frames > _MOST_FRAMES_A_LETTER * len(word.name) for word in words):
        reason = "a word drawn out"
    return Verdict(not reason, confidence, misfit, reason)
