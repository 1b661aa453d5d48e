"""The clock of `idle_timeout_ms`: how long a user has been silent after a reply was played."""

from __future__ import annotations

from math import inf


class SilenceTimer:
    """Armed and disarmed without waiting. Its owner waits until `due`, and then asks `over`."""

    __slots__ = ("_idle_ms", "_played_at", "_since_ms", "due")

    def __init__(self) -> None:
        self._played_at = -inf
        self._idle_ms: int | None = None
        self._since_ms = 0
        self.due = inf

    def play(self, now: float, duration_ms: float) -> None:
        """So much audio of a reply was sent; clients play it behind what they have."""
        self._played_at = max(self._played_at, now) + duration_ms / 1000

    def stop_playing(self, now: float) -> None:
        """The client plays nothing more of what it has."""
        if self._played_at > now:
            self._played_at = now
            self._set_due(now)

    def arm(self, idle_ms: int | None, position_ms: int, now: float) -> None:
        """Let so much time run from when all was played, or none. `position_ms` is where the
        input is now."""
        self._idle_ms = idle_ms
        self._since_ms = position_ms
        self._set_due(now)

    def _set_due(self, now: float) -> None:
        idle_ms = self._idle_ms
        self.due = inf if idle_ms is None else max(now, self._played_at) + idle_ms / 1000

    def over(self, now: float) -> tuple[int, int] | None:
        """Once `due` has come, and once only: the input's place at arming, and the time that was
        to run, in milliseconds."""
        idle_ms = self._idle_ms
        if idle_ms is None or now < self.due:
            return None
        self._idle_ms, self.due = None, inf
        return self._since_ms, idle_ms
