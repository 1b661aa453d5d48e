"""Connections that have not yet made a complete request: a bounded place, oldest out first."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator


class Pending:
    """At most `size` connections; when full, a new one drives out the one that came first.

    So whoever holds connections half open only pushes out their own, and never a newcomer.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._scopes: dict[trio.CancelScope, None] = {}  # a dict keeps the order of arrival

    def __len__(self) -> int:
        return len(self._scopes)

    def enter(self) -> trio.CancelScope:
        """Take a place for a new connection; the scope returned goes to `hold`. Never blocks."""
        if len(self._scopes) >= self._size:
            self.evict("too many pending connections")
        scope = trio.CancelScope()
        self._scopes[scope] = None
        return scope

    @contextmanager
    def hold(self, scope: trio.CancelScope) -> Iterator[None]:
        """Stay pending for the length of a block, which eviction cancels."""
        try:
            with scope:
                yield
        finally:
            self._scopes.pop(scope, None)

    def evict(self, reason: str) -> bool:
        """Cancel the oldest; False where there is none."""
        oldest = next(iter(self._scopes), None)
        if oldest is None:
            return False
        del self._scopes[oldest]
        oldest.cancel(reason=reason)
        return True

    def clear(self, reason: str) -> None:
        """Cancel all."""
        while self.evict(reason):
            pass
