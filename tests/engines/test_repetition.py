"""An answer that goes round and round, and those that only seem to."""

from __future__ import annotations

import re

import pytest

from voiced.engines.llm.repetition import LEAST, LONGEST, TIMES, Repetition


def ended_after(text: str) -> int | None:
    """How many tokens, words and marks here, were looked at before it was called endless."""
    seen: dict[str, int] = {}
    repetition = Repetition()
    for count, word in enumerate(re.findall(r"\w+|\W", text), 1):
        if repetition.goes_on(seen.setdefault(word, len(seen))):
            return count
    return None


def tokens(text: str) -> int:
    return len(re.findall(r"\w+|\W", text))


SENTENCE = "I am here to help you with that. "
PARAGRAPH = " ".join(f"word{number}" for number in range(60)) + ". "
BEGINNING = "Well, let me think about what you said first. "


@pytest.mark.parametrize(
    "again", ["ha ", SENTENCE, PARAGRAPH], ids=["word", "sentence", "paragraph"]
)
@pytest.mark.parametrize("before", ["", BEGINNING])
def test_the_same_again_and_again_is_ended(again: str, before: str) -> None:
    enough = max(LEAST, TIMES * tokens(again))
    after = ended_after(before + again * 200)
    assert after is not None
    # The end of what was said before may be that of the repeated, too.
    assert tokens(before) + enough - 2 <= after <= tokens(before) + enough


def test_what_is_longer_than_a_paragraph_is_not_compared() -> None:
    words = [f"word{number}" for number in range(LONGEST // 2)]
    assert ended_after(" ".join(words + words[:-1]) * 9) is None


ROW = "Row, row, row your boat, gently down the stream. Merrily, merrily, merrily, merrily, "
FINE = {
    "a list": "".join(f"{n}. Put the {n}th plate on the table, and wait. " for n in range(60)),
    "a list of days": "".join(
        f"On {day} the shop is open from nine to five. "
        for day in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday") * 3
    ),
    "a song that counts": "".join(
        f"{n} green bottles hanging on the wall, {n} green bottles hanging on the wall, and if one "
        f"green bottle should accidentally fall, there will be {n - 1} green bottles on the wall. "
        for n in range(20, 0, -1)
    ),
    "a round": (ROW + "life is but a dream. ") * 3,
    "a refrain": "".join(
        f"The verse number {n} tells another story. " + "Oh, the lamp, the lamp is on! " * 3
        for n in range(12)
    ),
    "ten times": SENTENCE * 7,
    "no, fifty times": "no " * 50,
    "a line": "-" * 100,
    "verses of one beat": "".join(f"la {word} la la, " for word in PARAGRAPH.split()) * 3,
}


@pytest.mark.parametrize("text", FINE)
def test_what_returns_and_changes_is_left_alone(text: str) -> None:
    assert ended_after(FINE[text]) is None


def test_what_is_broken_off_once_is_counted_anew() -> None:
    half = "ha " * (LEAST // 2 - 10)
    assert ended_after(f"{half}well {half}well {half}") is None
