"""Requests that wait for an engine: bounded, in order of priority, round and arrival."""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ranked(Protocol):
    """Something with a place in the order: (priority, round, arrival), lower first."""

    @property
    def rank(self) -> tuple[int, int, int]: ...


_RankedT = TypeVar("_RankedT", bound=Ranked)


def _rank(item: Ranked) -> tuple[int, int, int]:
    return item.rank


class Waitlist(Generic[_RankedT]):
    """At most `size` items. The rank of an item that is in it must not change: take it out,
    change it, put it back."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: list[_RankedT] = []

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[_RankedT]:
        return iter(self._items)

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def make_room(self, item: _RankedT) -> tuple[bool, _RankedT | None]:
        """Whether `item` may be added, and the item that has to go for it.

        A full list refuses, except where its last item has a lower priority or a later round
        (not merely a later arrival) than the new one: that one is taken out.
        """
        if len(self._items) < self._size:
            return True, None
        if self._items and self._items[-1].rank[:2] > item.rank[:2]:
            return True, self._items.pop()
        return False, None

    def add(self, item: _RankedT) -> None:
        """Put in place. Not bounded by itself: what was already accepted may come back."""
        insort(self._items, item, key=_rank)

    def remove(self, item: _RankedT) -> None:
        """Take out, wherever it is; nothing happens when it is not there."""
        if item in self._items:
            self._items.remove(item)

    def pop(self) -> _RankedT:
        """Take out the first."""
        return self._items.pop(0)

    def clear(self) -> list[_RankedT]:
        """Take out all, in order."""
        items, self._items = self._items, []
        return items
