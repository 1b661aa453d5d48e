"""How warm the processor is, for everything that has to give way to it.

The supervisor finds it out and tells it here; consumers subscribe, or wait for a level, and none of
them looks at a sensor or asks again and again. A `Heat` that nobody tells anything stays unknown,
and nothing gives way to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.thermal.level import HeatChange, Level

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Heat", "HeatChange", "Level"]

log = structlog.get_logger(__name__)


class Heat:
    """What the supervisor found out last. Read it freely; only the supervisor calls `tell`."""

    def __init__(self) -> None:
        self._level = Level.UNKNOWN
        self._celsius: float | None = None
        self._source = ""
        self._reasons: tuple[str, ...] = ()
        self._subscribers: list[Callable[[HeatChange], None]] = []
        self._changed = trio.Event()
        self.looks = 0
        """How often the supervisor has told how it is, changed or not."""

    @property
    def level(self) -> Level:
        """The level that holds now."""
        return self._level

    @property
    def celsius(self) -> float | None:
        """The last temperature that was believed, None where there is none."""
        return self._celsius

    @property
    def source(self) -> str:
        """The sensor it comes from; empty where there is none."""
        return self._source

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the level is what it is, in clauses for people, the weightiest first."""
        return self._reasons

    def subscribe(self, told: Callable[[HeatChange], None]) -> None:
        """Have `told` called with every change of the level from now on, for as long as this lives.

        It is called in the supervisor's task, in the order of subscribing, with `level` already
        the new one; it must neither wait nor raise. One that raises is logged, and the others are
        told all the same.
        """
        self._subscribers.append(told)

    async def wait_until(self, accepts: Callable[[Level], bool]) -> Level:
        """The first level that `accepts` takes: the present one, or one to come.

        A level that came and went before this task ran again is not seen.
        """
        while not accepts(self._level):
            await self._changed.wait()
        return self._level

    def tell(
        self, level: Level, celsius: float | None, source: str, reasons: tuple[str, ...]
    ) -> None:
        """What the supervisor found out; a changed level is handed on before this returns."""
        self.looks += 1
        before = self._level
        self._level, self._celsius = level, celsius
        self._source, self._reasons = source, reasons
        if level == before:
            return
        self._changed.set()
        self._changed = trio.Event()
        change = HeatChange(before, level, celsius, reasons[0] if reasons else "")
        for told in self._subscribers:
            try:
                told(change)
            except Exception:
                log.exception("could not follow the heat", now=level.word)
