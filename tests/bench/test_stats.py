"""Figures and their spread."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.bench.stats import Slope, fit_slope, grows, largest_passing, quantile, summarise

numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1), st.floats(0, 1))
def test_quantile_is_that_of_numpy(values: list[float], fraction: float) -> None:
    assert quantile(values, fraction) == pytest.approx(
        float(np.quantile(values, fraction)), abs=1e-6
    )


def test_summary_of_nothing_has_no_figures() -> None:
    summary = summarise([])
    assert summary.n == 0
    assert isnan(summary.median)


def test_slope_of_a_line_is_exact() -> None:
    slope = fit_slope([1, 2, 3, 4], [5, 7, 9, 11])
    assert slope.slope == pytest.approx(2)
    assert slope.error == pytest.approx(0)


def test_standard_error_is_that_of_the_textbook() -> None:
    x, y = [1.0, 2.0, 3.0, 4.0, 5.0], [2.1, 3.9, 6.2, 7.8, 10.1]
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    fitted = fit_slope(x, y)
    assert fitted.slope == pytest.approx(slope)
    assert fitted.error == pytest.approx(sqrt(covariance[0, 0]))


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        (Slope(0.0, 0.0, 9), False),
        (Slope(3.0, 0.5, 9), True),
        (Slope(3.0, 1.5, 9), False),
        (Slope(-3.0, 0.1, 9), False),
        (Slope(3.0, nan, 2), True),
    ],
)
def test_growth_is_what_chance_does_not_explain(slope: Slope, *, expected: bool) -> None:
    assert grows(slope, 0.5) is expected


@given(st.integers(1, 20), st.integers(20, 500), st.integers(0, 600))
def test_search_finds_the_largest_that_passes(lowest: int, highest: int, limit: int) -> None:
    tried: dict[int, bool] = {}
    while (number := largest_passing(lowest, highest, tried, grain=1)) is not None:
        assert number not in tried
        assert lowest <= number <= highest
        tried[number] = number <= limit
    found = max((number for number, ok in tried.items() if ok), default=0)
    assert found == (min(limit, highest) if limit >= lowest else 0)
    assert len(tried) < 25
