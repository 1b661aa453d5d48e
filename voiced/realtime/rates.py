"""Rate limits by token bucket, pure: the caller brings the clock."""

from __future__ import annotations


class TokenBucket:
    """Allows `rate` units a second on average and `burst` at once."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, *, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, amount: float, now: float) -> float:
        """Take `amount`; return the seconds until the bucket is out of debt, 0 when it is."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate) - amount
        self._at = now
        return max(0.0, -self._level / self._rate)

    def left(self, now: float) -> tuple[int, float]:
        """Whole units that may be taken at once, and the seconds until the bucket is full."""
        level = min(self._burst, self._level + (now - self._at) * self._rate)
        return max(0, int(level)), (self._burst - level) / self._rate

    def give_back(self, amount: float) -> None:
        """Undo a `take` that was refused."""
        self._level += amount
