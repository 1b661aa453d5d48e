"""The clock of `idle_timeout_ms`: how long a user has been silent after a reply was played."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class SilenceTimer:
    """Armed and disarmed without waiting; `watch` is its one task."""

    def __init__(self) -> None:
        self._played_at = -inf
        self._idle_ms: int | None = None
        self._since_ms = 0
        self._due = inf
        self._changed = trio.Event()

    def play(self, now: float, duration_ms: float) -> None:
        """So much audio of a reply was sent; clients play it behind what they have."""
        self._played_at = max(self._played_at, now) + duration_ms / 1000

    def stop_playing(self, now: float) -> None:
        """The client plays nothing more of what it has."""
        if self._played_at > now:
            self._played_at = now
            self._set_due(now)

    def arm(self, idle_ms: int | None, position_ms: int) -> None:
        """Let so much time run from when all was played, or none. `position_ms` is where the
        input is now."""
        self._idle_ms = idle_ms
        self._since_ms = position_ms
        self._set_due(trio.current_time())

    def _set_due(self, now: float) -> None:
        idle_ms = self._idle_ms
        self._due = inf if idle_ms is None else max(now, self._played_at) + idle_ms / 1000
        self._changed.set()

    async def watch(self, over: Callable[[int, int], None]) -> None:
        """Call `over` with the input's place at arming and the time that was to run, whenever it
        has; until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._due):
                await self._changed.wait()
            self._changed = trio.Event()
            idle_ms = self._idle_ms
            if idle_ms is not None and trio.current_time() >= self._due:
                self._idle_ms, self._due = None, inf
                over(self._since_ms, idle_ms)
