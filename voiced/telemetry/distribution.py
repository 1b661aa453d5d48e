"""Durations counted as they happen: by bucket since the start, and the last few as they were.

The buckets are what Prometheus adds up over machines and time; the last few give exact quantiles to
somebody who looks now. Adding one costs about a microsecond, and nobody has to read it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from math import inf
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RECENT = 256
"""Durations kept as they were: 8 KiB at most, and 12 of them lie above the 95th percentile."""


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of the last `RECENT` durations, by nearest rank, and how many there were in all."""

    p50_s: float
    p95_s: float
    max_s: float
    count: int


class Distribution:
    """Durations of one kind, in seconds."""

    __slots__ = ("_bounds", "_counts", "_recent", "count", "sum_s")

    def __init__(self, bounds_s: Sequence[float], recent: int = RECENT) -> None:
        """`bounds_s` are the upper ends of the buckets, growing; one without an end comes last."""
        self._bounds = tuple(bounds_s)
        self._counts = [0] * (len(self._bounds) + 1)
        self._recent: deque[float] = deque(maxlen=recent)
        self.count = 0
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """One more. Never waits, never raises."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._recent.append(seconds)
        self.count += 1
        self.sum_s += seconds

    def quantiles(self) -> Quantiles:
        """The last few, sorted; all 0 where there was none."""
        ordered = sorted(self._recent)
        if not ordered:
            return Quantiles(p50_s=0.0, p95_s=0.0, max_s=0.0, count=0)
        return Quantiles(
            p50_s=nearest(ordered, 0.50),
            p95_s=nearest(ordered, 0.95),
            max_s=ordered[-1],
            count=self.count,
        )

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """The buckets as Prometheus has them: an upper end, and how many were no longer."""
        below = 0
        for bound, count in zip((*self._bounds, inf), self._counts, strict=True):
            below += count
            yield bound, below


def nearest(ordered: Sequence[float], fraction: float) -> float:
    """A quantile by nearest rank: a duration that really was. `ordered` is not empty."""
    return ordered[round(fraction * (len(ordered) - 1))]
