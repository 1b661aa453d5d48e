"""Number words, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.assistant.numerals import LARGEST, decimal_words, number_words, parse_number


@given(st.integers(0, LARGEST))
def test_every_number_is_read_back_from_its_words(number: int) -> None:
    assert parse_number(number_words(number).split()) == number


@given(st.integers(0, 9_999), st.integers(0, 99))
def test_every_decimal_is_read_back_from_its_words(whole: int, hundredths: int) -> None:
    digits = f"{whole}.{hundredths:02}"
    assert parse_number(decimal_words(digits).split()) == float(digits)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (21, "twenty one"),
        (105, "one hundred and five"),
        (1_000, "one thousand"),
        (1_005, "one thousand and five"),
        (2_350, "two thousand three hundred and fifty"),
        (-3, "minus three"),
    ],
)
def test_numbers_are_said_as_people_say_them(number: int, words: str) -> None:
    assert number_words(number) == words


@pytest.mark.parametrize("words", ["", "lamp", "point five", "five point", "five point eleven"])
def test_what_is_no_number_is_none(words: str) -> None:
    assert parse_number(words.split()) is None
