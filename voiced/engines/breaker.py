"""When to start a failed engine again: doubling waits, then an open circuit. Sans-I/O."""

from __future__ import annotations

from typing import Literal

CircuitState = Literal["closed", "failing", "open", "trial"]
"""`failing` passes requests as `closed` does, but the last one failed; `trial` is an open circuit
that lets one pass, or has done so."""


class Breaker:
    """Counts failures in a row.

    Each failure is followed by a wait that doubles from `first_s` up to `max_s`. After
    `failures` of them the circuit is open: nothing is tried for `open_s`, then once; that
    trial either succeeds or opens the circuit again.
    """

    def __init__(self, *, first_s: float, max_s: float, failures: int, open_s: float) -> None:
        self._first_s = first_s
        self._max_s = max_s
        self._failures = failures
        self._open_s = open_s
        self._count = 0

    @property
    def failures_in_a_row(self) -> int:
        """Failures since the last success."""
        return self._count

    @property
    def is_open(self) -> bool:
        """Whether the last failure opened the circuit, or left it open."""
        return self._count >= self._failures

    def succeeded(self) -> None:
        """The engine did what was asked: forget the failures."""
        self._count = 0

    def failed(self) -> float:
        """One failure more; returns the seconds to wait before the next attempt."""
        self._count += 1
        if self.is_open:
            return self._open_s
        return min(self._first_s * 2.0 ** (self._count - 1), self._max_s)
