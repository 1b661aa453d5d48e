"""Whether a server that failed is asked again: a circuit breaker. Sans-I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.breaker import CircuitState

LONGEST_PAUSE_S = 300.0
"""A server that asks for a longer one is tried again all the same."""


class Circuit:
    """Closed, requests pass. After `failures` in a row it is open: none passes for `open_s`, then
    one, the trial. That closes the circuit, or opens it again.

    Who is admitted tells the outcome exactly once: `succeeded`, `failed`, `released`, or, having
    only looked whether the server is there, `recovered`.
    """

    def __init__(
        self, *, clock: Callable[[], float], failures: int = 5, open_s: float = 30.0
    ) -> None:
        self._clock = clock
        self._most = failures
        self._open_s = open_s
        self._count = 0
        self._last_failed = False
        self._failed_at = 0.0
        self._open_until: float | None = None
        self._trying = False

    @property
    def failures_in_a_row(self) -> int:
        """Failures since the last success."""
        return self._count

    @property
    def state(self) -> CircuitState:
        """What becomes of a request now; see `CircuitState`."""
        if self._open_until is None:
            return "failing" if self._last_failed else "closed"
        return "open" if self._clock() < self._open_until else "trial"

    @property
    def passes(self) -> bool:
        """Whether `admit` would let a request pass now."""
        state = self.state
        return state != "open" and not (state == "trial" and self._trying)

    @property
    def trusted(self) -> bool:
        """Whether a request would pass that should not be lost: the last one did not fail, or long
        enough ago. Each failure in a row doubles how long that is, since a server that takes
        requests and never answers costs somebody the whole deadline each time."""
        if not self.passes:
            return False
        pause_s = self._open_s * 2 ** min(self._count - 1, 10)
        waited_s = self._clock() - self._failed_at
        return not self._last_failed or waited_s >= min(pause_s, LONGEST_PAUSE_S)

    @property
    def opens_in_s(self) -> float:
        """Seconds until the trial; 0 where there is nothing to wait for."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def admit(self) -> bool:
        """Let a request pass, or not."""
        if not self.passes:
            return False
        self._trying = self.state == "trial"
        return True

    def succeeded(self) -> None:
        """The server did what was asked."""
        self._count = 0
        self._last_failed = False
        self._open_until = None
        self._trying = False

    def recovered(self) -> None:
        """The server is there again. Whether it does what is asked is not known: of an open
        circuit the next failure opens it again, of a closed one the failures still count."""
        if self._open_until is not None:
            self._count = self._most - 1
        self._last_failed = False
        self._open_until = None
        self._trying = False

    def failed(self, pause_s: float | None = None) -> None:
        """It did not. `pause_s`: it asks to be left alone for so long, which opens the circuit."""
        self._count += 1
        self._last_failed = True
        self._failed_at = self._clock()
        was_trial = self.state == "trial"
        self._trying = False
        if pause_s is not None:
            self._open_for(min(pause_s, LONGEST_PAUSE_S))
        elif was_trial or (self._open_until is None and self._count >= self._most):
            self._open_for(self._open_s)

    def released(self) -> None:
        """Nothing is known: the request was cancelled, or was itself at fault."""
        self._trying = False

    def _open_for(self, seconds: float) -> None:
        self._open_until = max(self._open_until or 0.0, self._clock() + seconds)
