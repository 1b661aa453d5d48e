from __future__ import annotations

from math import inf

from voiced.telemetry.distribution import RECENT, Distribution


def test_buckets_count_what_was_no_longer_than_their_end() -> None:
    series = Distribution((0.1, 0.5))
    for seconds in (0.05, 0.1, 0.3, 2.0):
        series.add(seconds)
    assert list(series.cumulative()) == [(0.1, 2), (0.5, 3), (inf, 4)]
    assert series.count == 4
    assert abs(series.sum_s - 2.45) < 1e-9


def test_quantiles_are_those_of_the_last_few_and_the_count_that_of_all() -> None:
    series = Distribution((1.0,))
    for _ in range(1_000):
        series.add(100.0)
    for number in range(RECENT):
        series.add(float(number))
    read = series.quantiles()
    assert read.count == 1_000 + RECENT
    assert read.max_s == RECENT - 1
    assert (read.p50_s, read.p95_s) == (128.0, 242.0)


def test_of_nothing_there_is_nothing() -> None:
    read = Distribution((1.0,)).quantiles()
    assert (read.p50_s, read.p95_s, read.max_s, read.count) == (0.0, 0.0, 0.0, 0)
