"""What waits for one observer: bounded, in order, and honest about what was left out. Sans-I/O."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable

ItemT = TypeVar("ItemT")

MOST = 1_000
"""Messages that wait for one observer: some minutes of a busy daemon, and 300 KiB at most times."""


class Waiting(msgspec.Struct, Generic[ItemT]):
    """One message that waits, its place in the order, and for how many others it stands."""

    item: ItemT
    place: int
    coalesced: int = 0


class Backlog(Generic[ItemT]):
    """First in, first out, of at most `most` messages, each of which has a key.

    Passing ones say how something is: a newer one of the same key takes the older one's stead and
    goes to the end. Lasting ones say what happened: the same again is counted with the first, which
    keeps its place. Where there is room no more, the oldest passing one is left out and counted in
    `left_out`. Lasting ones are never left out: `put` refuses the one that finds nothing but its
    like.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._passing: OrderedDict[Hashable, Waiting[ItemT]] = OrderedDict()
        self._lasting: OrderedDict[Hashable, Waiting[ItemT]] = OrderedDict()
        self._places = 0
        #: Passing messages that nobody will get, since this was last set to 0.
        self.left_out = 0

    def __len__(self) -> int:
        return len(self._passing) + len(self._lasting)

    def put(self, key: Hashable, item: ItemT, *, lasting: bool) -> bool:
        """Take one message in; False where that cannot be, and the observer has to go."""
        self._places += 1
        new = Waiting(item, self._places)
        if lasting:
            if (same := self._lasting.get(key)) is not None:
                same.coalesced += 1
            elif len(self) < self._most or self._leave_out():
                self._lasting[key] = new
            else:
                return False
            return True
        older = self._passing.pop(key, None)
        if older is not None:
            new.coalesced = older.coalesced + 1
        elif len(self) >= self._most and not self._leave_out():
            self.left_out += 1
            return True
        self._passing[key] = new
        return True

    def take(self) -> tuple[ItemT, int] | None:
        """The next message, and for how many others it stands; None where nothing waits."""
        heads = [next(iter(kept.values())) for kept in (self._passing, self._lasting) if kept]
        if not heads:
            return None
        head = min(heads, key=lambda waiting: waiting.place)
        kept = self._passing if self._passing and heads[0] is head else self._lasting
        kept.popitem(last=False)
        return head.item, head.coalesced

    def _leave_out(self) -> bool:
        """Let the oldest passing message go, if there is one."""
        if not self._passing:
            return False
        _, oldest = self._passing.popitem(last=False)
        self.left_out += 1 + oldest.coalesced
        return True
