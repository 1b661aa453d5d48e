"""Whether an engine's process is still alive and well: deadlines, without a clock. Sans-I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from voiced.engines.spec import HostPolicy

_NEVER = float("inf")
STOOD_STILL_S = 1.0
"""A look this much too late is no matter of load any more."""


class Finding(NamedTuple):
    """What to do now: kill the child for a reason, ping it, or only look again at `due`."""

    kill: str | None = None
    ping: bool = False
    due: float = _NEVER


class Vigil:
    """Watches one life of a child after another. Times are seconds of any one clock.

    While the host itself stood still (a machine asleep, or one that swaps) the child most likely
    did too, and its answer may lie in the pipe: what a look comes too late by is not held against
    the child.
    """

    def __init__(self, policy: HostPolicy) -> None:
        self._policy = policy
        self._started_at = 0.0
        self._ready_at = _NEVER
        self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._due = _NEVER

    @property
    def loading(self) -> bool:
        """Started, and not ready yet."""
        return self._ready_at == _NEVER

    def started(self, now: float) -> None:
        """A new child."""
        self._started_at = now
        self._ready_at = _NEVER
        self._pinged_at = None
        self._due = _NEVER

    def became_ready(self, now: float) -> float:
        """It is loaded and warm; returns how long that took."""
        self._ready_at = now
        return now - self._started_at

    def heard(self, now: float) -> None:
        """It has said something, whatever it was."""
        self._heard_at = now
        self._pinged_at = None

    def served_for(self, now: float) -> float:
        """How long it has been ready; negative or zero if it never was."""
        return now - self._ready_at

    def look(self, now: float) -> Finding:
        """To be called when the last finding was due, or sooner."""
        late_s = now - self._due
        if late_s > STOOD_STILL_S:
            # And time to read what has come meanwhile.
            self._started_at += late_s + self._policy.ping_s
            if self._pinged_at is not None:
                self._pinged_at += late_s + self._policy.ping_s
        finding = self._judge(now)
        self._due = finding.due
        return finding

    def _judge(self, now: float) -> Finding:
        policy = self._policy
        if self.loading:
            load_by = self._started_at + policy.load_s
            if now >= load_by:
                return Finding(f"it was not ready after {policy.load_s:g} s")
            return Finding(due=load_by)
        if self._pinged_at is not None:
            answer_by = self._pinged_at + policy.pong_s
            if now >= answer_by:
                return Finding(f"it did not answer a ping within {policy.pong_s:g} s")
            return Finding(due=min(answer_by, now + policy.ping_s))
        ping_at = self._heard_at + policy.ping_s
        if now >= ping_at:
            self._pinged_at = now
            return Finding(ping=True, due=now + min(policy.pong_s, policy.ping_s))
        return Finding(due=ping_at)
