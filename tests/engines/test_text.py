"""Clauses of a streamed reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.engines.tts.text import (
    ABBREVIATION,
    BREAK,
    FIRST_CLAUSE_CHARS,
    LONGEST_CHARS,
    ClauseSplitter,
)

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator


def clauses_of(text: str, size: int = 1) -> list[str]:
    """The clauses of a text that comes in deltas of `size` characters."""
    splitter = ClauseSplitter()
    clauses = []
    for start in range(0, len(text), size):
        clauses += splitter.feed(text[start : start + size])
    return clauses + splitter.flush()


WORDS = st.text("abcdeé .,;:!?…\"')\n0123456789", max_size=900)


@given(st.lists(WORDS, max_size=5))
def test_nothing_is_lost_and_nothing_is_longer_than_the_bound(deltas: list[str]) -> None:
    splitter = ClauseSplitter()
    clauses = [clause for delta in deltas for clause in splitter.feed(delta)]
    clauses += splitter.flush()
    assert "".join(clauses) == "".join(deltas)
    assert all(0 < len(clause) <= LONGEST_CHARS for clause in clauses)


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    "whole",
    [
        "It is 3.5 degrees outside at the moment",
        "The alarm is set for 12:30 tomorrow",
        "See example.org for the rest of it",
        "Mr. Smith called you this morning",
        "Ask Dr. Jones about it",
        "Say it e.g. like this",
        "The U.S. team",
        "1,000 is a big number",
    ],
)
def test_it_does_not_split_inside(whole: str, size: int) -> None:
    assert clauses_of(f"{whole}. Next sentence.", size) == [f"{whole}.", " Next sentence."]


def test_the_number_of_a_list_goes_with_its_line() -> None:
    listed = "Do this:\n1. Open it.\n2. Close it.\n"
    assert clauses_of(listed) == ["Do this:\n", "1. Open it.", "\n", "2. Close it.", "\n"]
    assert clauses_of("It is 5. I counted.") == ["It is 5.", " I counted."]


@pytest.mark.parametrize("mark", [".", "!", "?", "…", '."', "?!"])
def test_a_sentence_ends_a_clause_however_short(mark: str) -> None:
    assert clauses_of(f"Yes{mark} The lamp is on.") == [f"Yes{mark}", " The lamp is on."]


def test_the_first_clause_comes_early_and_later_commas_must_be_worth_a_breath() -> None:
    text = "Now playing jazz, which you like, and then, after the news, some more of the same."
    first, *rest = clauses_of(text)
    assert first == "Now playing jazz,"
    assert len(first) >= FIRST_CLAUSE_CHARS
    assert rest == [" which you like, and then, after the news,", " some more of the same."]


def test_a_clause_is_given_as_soon_as_it_is_complete() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("The lamp is on.") == []  # might go on as "on.5"
    assert splitter.feed(" ") == ["The lamp is on."]


def test_a_text_without_punctuation_is_cut_between_words() -> None:
    clauses = clauses_of("word " * 200)
    assert all(len(clause) <= LONGEST_CHARS for clause in clauses)
    assert {clause.strip().split()[-1] for clause in clauses if clause.strip()} == {"word"}


def test_an_end_far_away_is_no_excuse_for_a_long_clause() -> None:
    """The bound holds too where the whole text, full stop included, comes in one delta."""
    assert max(map(len, clauses_of("word " * 200 + ". And.", size=10_000))) <= LONGEST_CHARS


class Scanned:
    """A pattern that counts the characters it is given to look at."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.chars = 0

    def finditer(self, text: str, *bounds: int) -> Iterator[re.Match[str]]:
        self.chars += len(text[slice(*bounds)] if bounds else text)
        return self.pattern.finditer(text, *bounds)

    def search(self, text: str, *bounds: int) -> re.Match[str] | None:
        self.chars += len(text[slice(*bounds)] if bounds else text)
        return self.pattern.search(text, *bounds)


@pytest.mark.parametrize("piece", ["word ", "a", ".", "?!", "Mr. ", "3.5"])
def test_a_long_text_without_an_end_is_looked_at_a_few_times_at_most(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (piece * 64_000)[:64_000]
    breaks, abbreviations = Scanned(BREAK), Scanned(ABBREVIATION)
    monkeypatch.setattr("voiced.engines.tts.text.BREAK", breaks)
    monkeypatch.setattr("voiced.engines.tts.text.ABBREVIATION", abbreviations)
    clauses = clauses_of(text, len(text))
    assert "".join(clauses) == text
    assert breaks.chars + abbreviations.chars < 4 * len(text)


@given(WORDS, st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_clauses_do_not_depend_on_how_the_text_comes(text: str, sizes: list[int]) -> None:
    assert {tuple(clauses_of(text, size)) for size in sizes} == {tuple(clauses_of(text))}
