"""Whether somebody has finished, judged by what was said so far. Pure: text in, verdict out.

Each language has rules of its own; what is said in a language without any, or not understood, is
judged by silence alone. The rules know no engine: they see the words as any recogniser gives
them, in any case, with punctuation or without.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Literal

from voiced.turns import english

if TYPE_CHECKING:
    from collections.abc import Callable

Eagerness = Literal["low", "medium", "high", "auto"]


class Verdict(Enum):
    """What the words so far tell about the end of the turn."""

    COMPLETE = "complete"
    """A sentence that can stand alone: answer as soon as there is a short silence."""
    UNCLEAR = "unclear"
    """No words, no rules for the language, or words that may end here or go on."""
    UNFINISHED = "unfinished"
    """Words after which something must follow: "and", "the", "set a timer for five"."""


LONGEST_MS = {"low": 8_000, "medium": 4_000, "high": 2_000, "auto": 4_000}
"""Silence after which a turn is over whatever was said, by eagerness (REALTIME 4.4)."""

UNCLEAR_SHARE = 0.2
"""How much of the longest silence words are given that may end there or go on: 0.8 s at medium,
time enough to think of the next word and not much longer than an answer may take."""

RULES: dict[str, Callable[[str], bool | None]] = {"en": english.is_complete}
"""By ISO 639-1 code: True for a complete sentence, False for one that must go on."""


def judge(text: str, language: str, *, sentence: bool | None = None) -> Verdict:
    """What `text`, the words of a turn so far, tells about its end.

    `language` is a code such as "en" or "en-GB". `sentence` is what the recogniser itself knows:
    whether these words are one of the sentences it can hear, and None where it does not know. A
    False of such a recogniser is certain, since it hears nothing else; a True only speaks for
    words that are not clear by themselves.
    """
    rule = RULES.get(language.partition("-")[0].partition("_")[0].lower())
    if not any(character.isalnum() for character in text):
        return Verdict.UNCLEAR
    if sentence is False:
        return Verdict.UNFINISHED
    known = None if rule is None else rule(text)
    if known is None:
        known = sentence
    if known is None:
        return Verdict.UNCLEAR
    return Verdict.COMPLETE if known else Verdict.UNFINISHED


def silence_ms(verdict: Verdict, eagerness: Eagerness, shortest_ms: int) -> int:
    """How long a silence ends the turn; `shortest_ms` is that after a complete sentence."""
    if verdict is Verdict.COMPLETE:
        return shortest_ms
    longest = LONGEST_MS[eagerness]
    wanted = longest if verdict is Verdict.UNFINISHED else round(longest * UNCLEAR_SHARE)
    return max(wanted, shortest_ms)
