"""What waits for an observer, under any order of publications and reads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.telemetry.backlog import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

MOST = 5

Item = tuple[int, bool, int]
"""Its number in the order of publication, whether it lasts, and its key."""

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("tell"), st.integers(0, 7)),
        st.tuples(st.just("warn"), st.integers(0, 6)),
        st.tuples(st.just("read"), st.integers(1, 4)),
    ),
    min_size=20,  # else few of a hundred examples fill it
    max_size=80,
)


def check(acts: list[tuple[str, int]], make: Callable[[int], Backlog[Item]]) -> None:
    """Carry out `acts`, then read the rest, and hold what came against what was published."""
    backlog = make(MOST)
    published: list[Item] = []
    delivered: list[tuple[Item, int]] = []
    left_out = 0

    def read() -> bool:
        nonlocal left_out
        left_out, backlog.left_out = left_out + backlog.left_out, 0
        if (taken := backlog.take()) is None:
            return False
        item, coalesced = taken
        newest = [p for p in published if p[1:] == item[1:]][-1]
        if not item[1]:  # of what says how something is, the newest that there was
            assert item == newest
        delivered.append((item, coalesced))
        return True

    for act, number in acts:
        if act == "read":
            for _ in range(number):
                read()
            continue
        item = (len(published), act == "warn", number)
        if not backlog.put((act, number), item, lasting=act == "warn"):
            # Only where nothing but other warnings waits.
            waiting = {p[2] for p in published if p[1]} - {number}
            assert len(backlog) == MOST
            assert len(waiting) >= MOST
            break
        published.append(item)
        assert len(backlog) <= MOST
    while read():
        pass
    assert len(backlog) == 0
    order = [item[0] for item, _ in delivered]
    assert order == sorted(set(order))
    # Nothing is lost without being counted: of warnings nothing at all.
    told: Counter[Hashable] = Counter()
    for item, coalesced in delivered:
        told[item[1:]] += 1 + coalesced
    for lasting_and_key, count in Counter(item[1:] for item in published).items():
        if lasting_and_key[0]:
            assert told[lasting_and_key] == count
        else:
            assert told[lasting_and_key] <= count
    assert sum(told.values()) + left_out == len(published)


@given(ACTS)
def test_it_is_bounded_in_order_and_counts_what_it_leaves_out(acts: list[tuple[str, int]]) -> None:
    check(acts, Backlog)


class Forgetful(Backlog[Item]):
    """Makes room by dropping what comes first, whatever it is."""

    def put(self, key: Hashable, item: Item, *, lasting: bool) -> bool:
        if len(self) >= MOST:
            self.take()
        return super().put(key, item, lasting=lasting)


class Stale(Backlog[Item]):
    """Keeps the older one of two."""

    def put(self, key: Hashable, item: Item, *, lasting: bool) -> bool:
        return (not lasting and key in self._passing) or super().put(key, item, lasting=lasting)


class Boundless(Backlog[Item]):
    """Keeps everything."""

    def __init__(self, most: int) -> None:
        super().__init__(most + 1000)


@pytest.mark.parametrize("broken", [Forgetful, Stale, Boundless])
def test_the_check_finds_a_backlog_that_is_broken(broken: type[Backlog[Item]]) -> None:
    @settings(report_multiple_bugs=False)
    @given(ACTS)
    def look(acts: list[tuple[str, int]]) -> None:
        check(acts, broken)

    with pytest.raises(AssertionError):
        look()


def test_a_hundred_thousand_messages_that_nobody_reads_take_a_thousand_places() -> None:
    backlog: Backlog[int] = Backlog()
    for number in range(100_000):
        backlog.put(number % 3_000, number, lasting=False)
    assert len(backlog) == 1_000
    taken = backlog.take()
    assert taken == (99_000, 0)
    assert backlog.left_out == 99_000
