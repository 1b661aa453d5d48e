"""Two ways to do the same thing, timed in turns, so that what the machine does meanwhile falls on
both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from voiced.bench.stats import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Callable


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one way takes and what the other, in milliseconds. `times` is the naive way's time over
    the tuned one's, pair by pair; `goal` what that should be at least, where there is one."""

    name: str
    tuned_ms: Summary
    naive_ms: Summary
    times: Summary
    goal: float | None = None


def compare(
    name: str,
    tuned: Callable[[], object],
    naive: Callable[[], object],
    *,
    pairs: int,
    goal: float | None = None,
    tell: Callable[[], None] = lambda: None,
) -> Comparison:
    """Time both `pairs` times, first one first and then the other. Each runs once before that,
    untimed. `tell` is called after each pair."""
    tuned()
    naive()
    spent: dict[bool, list[float]] = {True: [], False: []}
    for number in range(pairs):
        for is_tuned in (number % 2 == 0, number % 2 == 1):
            spent[is_tuned].append(milliseconds(tuned if is_tuned else naive))
        tell()
    return Comparison(
        name=name,
        tuned_ms=summarise(spent[True]),
        naive_ms=summarise(spent[False]),
        times=summarise(
            [slow / fast for fast, slow in zip(spent[True], spent[False], strict=True)]
        ),
        goal=goal,
    )


def milliseconds(task: Callable[[], object]) -> float:
    """How long `task` takes."""
    began = time.perf_counter()
    task()
    return (time.perf_counter() - began) * 1000
