"""A sign of life of an engine that has nothing to show for long."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiced.engines.ports import Work

PULSE_S = 5.0
"""How often the sign is given; many times within `HostPolicy.stall_s`."""


class Pulse:
    """Tells now and then that the work goes on: reading a long prompt may take minutes on a small
    machine, and what a model thinks is shown to nobody. Beat it where work was done, and only
    there."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._told_at = monotonic()

    def beat(self) -> None:
        """The work has gone on. Raises `WorkCancelled` where it is time to tell."""
        now = monotonic()
        if now - self._told_at >= PULSE_S:
            self._told_at = now
            self._work.emit({})
