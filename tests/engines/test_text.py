"""Clauses of a streamed reply."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.engines.tts.text import (
    FIRST_CLAUSE_CHARS,
    LONGEST_ADDRESS_CHARS,
    LONGEST_CHARS,
    MARK,
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


WORDS = st.text("abcIdeé .,;:!?…\"')\n0123456789[]()`@", max_size=900)


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
        "It was built by A. B. Clarke in Berlin",
        "Come at 5 p.m. or later",
        "Read No. 5 and vol. 2 of it",
        "Take apples etc. with you",
        "Born on May 5, 2026 in the early morning hours",
        "On Jan. 5 it snowed",
        "See https://example.org/a.b?c=d,e;f and",
        "Write to jo.doe@example.org or",
        "Read [the manual, its first page, and. more](https://a.example/b) now",
        "Call `print(a, b); x = 1. + 2` once",
        "So 12:30 3.5 1.2.3 and 192.168.1.20 are",
        "The town is 1,5 km or 0,9 mi or 3.14 of them away",
        "He has one, e.g., this",
        "Rest for 5 min. or more on Sat. or so",
        "Add 2 tbsp. of oil and 3 oz. of flour",
        "Er kommt am 5. Mai 2026 wieder",
        "Nimm z. B. das Brot u. a. mit d. h. das",
        "In Nov. we leave and on 21 Dec. 2026 we return",
    ],
)
def test_it_does_not_split_inside(whole: str, size: int) -> None:
    assert clauses_of(f"{whole}. Next sentence.", size) == [f"{whole}.", " Next sentence."]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("No. I will not do that for you.", "No."),
        ("We met at 5 p.m. The lamp was on.", "We met at 5 p.m."),
        ("He works for Acme Inc. She does not.", "He works for Acme Inc."),
        ("So do I. He does not.", "So do I."),
        ("It is 10\u00b0C. The wind is light.", "It is 10\u00b0C."),
        ("It has 60 W. The other one has 40 W.", "It has 60 W."),
        ("Write to jo@a.example. Then wait.", "Write to jo@a.example."),
        ("Go to https://a.example/b. Then wait.", "Go to https://a.example/b."),
        ("Go to www.a.example/b, and then wait.", "Go to www.a.example/b,"),
        ("I have 5. Maybe 6.", "I have 5."),
        ("I come on Sun. The others do not.", "I come on Sun."),
        ("It is 5. Mai is the next month.", "It is 5. Mai is the next month."),
        ("**Done.** The lamp is on.", "**Done.**"),
        ("\u201cFine.\u201d She left.", "\u201cFine.\u201d"),
        ("So in May 5, perhaps 6 came.", "So in May 5,"),
        ("\u597d\u7684\u3002\u706f\u5f00\u4e86\u3002", "\u597d\u7684\u3002"),
        ("Take [this, or that] along with you, please.", "Take [this, or that] along with you,"),
        (
            "I have turned off the lamp in the kitchen and the one in the hall is still on.",
            "I have turned off the lamp in the kitchen ",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_where_the_first_clause_ends(text: str, first: str, size: int) -> None:
    assert clauses_of(text, size)[0] == first


PROTECTED = st.sampled_from(
    [
        *("3.5", "1,000,000", "12:30", "$1,250.50", "2026-11-21", "v1.2.3", "192.168.1.20"),
        *("https://a.example/b,c.d?e=f;g", "www.example.org/x:y", "jo.doe@example.org"),
        *("e.g. this", "Dr. Smith", "U.S. law", "No. 5", "5 p.m. sharp", "May 5, 2026"),
        *("`a, b; c. d`", "[a, b. c](https://a.example/x)"),
    ]
)
PLAIN = st.sampled_from(
    ["yes", "the lamp", "is on", "and then", "well,", "fine:", "so. Then", "\n"]
)


@given(
    st.lists(
        PROTECTED.map(lambda word: (word, True)) | PLAIN.map(lambda word: (word, False)),
        min_size=1,
        max_size=90,
    ),
    st.integers(1, 40),
)
def test_nothing_that_is_said_as_one_is_split(words: list[tuple[str, bool]], size: int) -> None:
    text = " ".join(word for word, _ in words)
    clauses = clauses_of(text, size)
    assert "".join(clauses) == text
    cuts = set(accumulate(map(len, clauses)))
    place = 0
    for word, is_one in words:
        inside = cuts & set(range(place + 1, place + len(word)))
        assert not (is_one and inside), (word, clauses)
        place += len(word) + 1


def test_an_address_is_kept_whole_though_it_is_long() -> None:
    address = "https://a.example/" + "x" * 800
    assert clauses_of(f"See {address} for more. Bye.", 7)[:2] == ["See", f" {address}"]
    endless = "https://a.example/" + "x" * 5_000
    assert max(map(len, clauses_of(endless, 64))) == LONGEST_ADDRESS_CHARS


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

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        self.chars += len(text)
        return self.pattern.finditer(text)


@pytest.mark.parametrize(
    "piece", ["word ", "a", ".", "?!", "Mr. ", "3.5", "[", "`", "[a](", "a@", "www.", "and "]
)
def test_a_long_text_without_an_end_is_looked_at_a_few_times_at_most(
    piece: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (piece * 64_000)[:64_000]
    marks = Scanned(MARK)
    monkeypatch.setattr("voiced.engines.tts.text.MARK", marks)
    clauses = clauses_of(text, len(text))
    assert "".join(clauses) == text
    assert marks.chars < 4 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        "Am 5. Mai 2026. Am 5.\nMai. Am 6. Ma",
        "At 5 p.m.\nthe lamp, at 6 p.m. the door.",
        "The fifth is May 5,\n2026, a Tuesday. On May 6, 2026, too.",
        "See https://a.b.c. Then https://a.b/c?d=1.5,6! Or jo@a.b. Yes, e.g., that.",
        "Rest 5 min.\nof it, z.\nB. so, and 10\u00b0C. Then 60 W. Yes.",
    ],
)
def test_tricky_clauses_do_not_depend_on_how_the_text_comes(text: str) -> None:
    assert {tuple(clauses_of(text, size)) for size in range(1, len(text))} == {
        tuple(clauses_of(text, len(text)))
    }


def test_a_line_ends_behind_what_might_have_been_a_date() -> None:
    splitter = ClauseSplitter()
    assert splitter.feed("The fifth is May 5,\n") == ["The fifth is May 5,", "\n"]


@given(WORDS, st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_clauses_do_not_depend_on_how_the_text_comes(text: str, sizes: list[int]) -> None:
    assert {tuple(clauses_of(text, size)) for size in sizes} == {tuple(clauses_of(text))}


def test_a_clause_that_is_too_long_is_not_cut_beside_a_number() -> None:
    text = "word " * 59 + "with 25 kilometers to go"
    first = clauses_of(text, 500)[0]
    assert first == ("word " * 59).rstrip()  # and not in front of "25"
    assert len("word " * 59 + "with") < LONGEST_CHARS


def test_a_clause_that_is_too_long_is_not_cut_within_a_link() -> None:
    link = "[a title of several words](https://example.org/page)"
    text = "word " * 57 + link + " and more to be said of that"
    first = clauses_of(text, 500)[0]
    assert first == ("word " * 57).rstrip()
