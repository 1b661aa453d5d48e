"""Calculating: right, and never more than arithmetic."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.tools.arithmetic import ExpressionError, OutOfRangeError, evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 * 8", 56), ("2 + 3 * 4", 14), ("(2 + 3) * 4", 20), ("10 / 4", 2.5), ("- 5 - 3", -8),
        ("5 - - 3", 8), ("20 % of 50", 10), ("5 + 20 % of 50", 15), ("100 / 20 % of 50", 10),
        ("50%", 0.5), ("2 ^ 3 ^ 2", 512), ("-2 ^ 2", -4), ("1.5 * 4", 6), (".5 + .5", 1),
        ("7", 7), ("  7  ", 7),
    ],
)  # fmt: skip
def test_an_expression_has_its_value(expression: str, value: float) -> None:
    assert evaluate(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "expression",
    ["", " ", "1 +", "* 2", "1 2", "(1", "1)", "two", "__import__('os')", "1; 2", "1e5", "x=1",
     "(-8) ^ 0.5", "(" * 60 + "1" + ")" * 60, "1" + "+1" * 200],
)  # fmt: skip
def test_anything_else_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression)


@pytest.mark.parametrize("expression", ["9 ^ 9 ^ 9", "9" * 60, "10 ^ 10 * 10 ^ 10"])
def test_what_is_too_large_is_refused_at_once(expression: str) -> None:
    with pytest.raises(OutOfRangeError):
        evaluate(expression)


@pytest.mark.parametrize("expression", ["1 / 0", "0 ^ -1", "1 / (2 - 2)"])
def test_dividing_by_zero_is_its_own_error(expression: str) -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(expression)


@given(st.text(alphabet="0123456789+-*/^().% of", max_size=40))
def test_no_text_does_more_than_that(expression: str) -> None:
    with suppress(ExpressionError, OutOfRangeError, ZeroDivisionError):
        assert isinstance(evaluate(expression), (int, float))


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_whole_numbers_are_calculated_exactly(one: int, other: int, sign: str) -> None:
    expected = {"+": one + other, "-": one - other, "*": one * other}[sign]
    assert evaluate(f"{one} {sign} {other}") == expected
