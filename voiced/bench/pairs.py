"""Two ways to do the same thing, timed in turns, so that what the machine does meanwhile falls on
both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.stats import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Way = Callable[[], Awaitable[Mapping[str, float]]]
    """Does it once. Milliseconds by stage; `WHOLE` is the whole."""

WHOLE: Final = "whole"

SETTLE_S: Final = 0.2
"""Between two measurements: native threads spin for a while when their work is done, and would take
the cores from whoever comes next."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What one way takes and what the other, in milliseconds. `times` is the naive way's time over
    the tuned one's, pair by pair; `goal` what that should be at least, where there is one."""

    name: str
    tuned_ms: Summary
    naive_ms: Summary
    times: Summary
    goal: float | None = None
    tuned_stages_ms: dict[str, Summary] = {}
    naive_stages_ms: dict[str, Summary] = {}

    @property
    def missed(self) -> str:
        """The goal, where the median of the ratios does not reach it; else nothing."""
        if self.goal is None or self.times.median >= self.goal:
            return ""
        return f"{self.name}: {self.times.median:.1f} times, goal {self.goal:g}"


async def compare(
    name: str,
    tuned: Way,
    naive: Way,
    *,
    pairs: int,
    goal: float | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Comparison:
    """Time both `pairs` times, first one first and then the other. Each runs once before that,
    whose time does not count. `tell` is told what is done."""
    fast, slow = await take_pairs(name, tuned, naive, pairs=pairs, tell=tell)
    return compared(name, fast, slow, goal=goal)


async def take_pairs(
    name: str,
    tuned: Way,
    naive: Way,
    *,
    pairs: int,
    tell: Callable[[str], None],
) -> tuple[list[Mapping[str, float]], list[Mapping[str, float]]]:
    """What `compare` compares: the times of each, the first run of both left out."""
    spent: dict[bool, list[Mapping[str, float]]] = {True: [], False: []}
    for number in range(pairs + 1):
        tell(f"{name}: pair {number} of {pairs}")
        for is_tuned in (number % 2 == 0, number % 2 == 1):
            await trio.sleep(SETTLE_S)
            took = await (tuned if is_tuned else naive)()
            if number:
                spent[is_tuned].append(took)
    return spent[True], spent[False]


def compared(
    name: str,
    tuned: Sequence[Mapping[str, float]],
    naive: Sequence[Mapping[str, float]],
    *,
    goal: float | None = None,
) -> Comparison:
    """Times that were taken in pairs."""
    fast, slow = ([took[WHOLE] for took in taken] for taken in (tuned, naive))
    return Comparison(
        name=name,
        tuned_ms=summarise(fast),
        naive_ms=summarise(slow),
        times=summarise([more / less for less, more in zip(fast, slow, strict=True)]),
        goal=goal,
        tuned_stages_ms=_stages(tuned),
        naive_stages_ms=_stages(naive),
    )


def _stages(spent: Sequence[Mapping[str, float]]) -> dict[str, Summary]:
    names = [name for name in spent[0] if name != WHOLE]
    return {name: summarise([took[name] for took in spent]) for name in names}


async def timed(task: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """How long `task` takes."""
    began = trio.current_time()
    await task()
    return {WHOLE: (trio.current_time() - began) * 1000}
