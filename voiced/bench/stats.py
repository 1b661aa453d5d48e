"""Figures with their spread. Pure."""

from __future__ import annotations

from math import inf, isnan, nan, sqrt
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class Summary(msgspec.Struct, frozen=True):
    """A sample in five numbers and its size; all NaN, which JSON shows as null, where n is 0."""

    n: int
    median: float
    p5: float
    p95: float
    least: float
    most: float


def quantile(values: Sequence[float], fraction: float) -> float:
    """The quantile by linear interpolation between order statistics; NaN of nothing."""
    ordered = sorted(values)
    if not ordered:
        return nan
    position = fraction * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def summarise(values: Sequence[float]) -> Summary:
    """`values` in five numbers."""
    return Summary(
        n=len(values),
        median=quantile(values, 0.5),
        p5=quantile(values, 0.05),
        p95=quantile(values, 0.95),
        least=min(values, default=nan),
        most=max(values, default=nan),
    )


class Slope(msgspec.Struct, frozen=True):
    """A least-squares line: its slope and the standard error of that, per unit of x."""

    slope: float
    error: float
    n: int


def fit_slope(x: Sequence[float], y: Sequence[float]) -> Slope:
    """Fit y over x by least squares.

    The standard error is that of the residuals over n - 2 degrees of freedom: NaN for fewer
    than three points, and the slope is 0 where all x are the same.
    """
    n = len(x)
    if n != len(y):
        raise ValueError("x and y differ in length")
    if n < 2:
        return Slope(0.0, nan, n)
    mean_x, mean_y = fmean(x), fmean(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if spread == 0:
        return Slope(0.0, nan, n)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    if n < 3:
        return Slope(slope, nan, n)
    residual = sum((b - mean_y - slope * (a - mean_x)) ** 2 for a, b in zip(x, y, strict=True))
    return Slope(slope, sqrt(residual / (n - 2) / spread), n)


def grows(slope: Slope, tolerance: float) -> bool:
    """Whether the slope exceeds `tolerance` by more than two standard errors can explain."""
    error = 0.0 if isnan(slope.error) else slope.error
    return slope.slope - 2 * error > tolerance


def largest_passing(lowest: int, highest: int, tried: dict[int, bool], grain: int) -> int | None:
    """The next number to try in the search for the largest one that passes; None when found.

    Doubles from `lowest` until something fails or `highest` passes, then halves the interval
    down to `grain`. `tried` maps numbers to whether they passed.
    """
    passed = max((number for number, ok in tried.items() if ok), default=0)
    failed = min((number for number, ok in tried.items() if not ok), default=inf)
    if passed >= highest or failed <= lowest:
        return None
    if not tried:
        return lowest
    if failed is inf:
        return min(passed * 2, highest)
    if failed - passed <= grain:
        return None
    return int(passed + failed) // 2
