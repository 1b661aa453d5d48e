"""The metrics of heat, and of what gives way to it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import trio

from voiced.errors import TooHot
from voiced.readings.families import counter, gauge
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from voiced.inspector import Inspector
    from voiced.jobs.ledger import Ledger
    from voiced.realtime.hub import SessionHub
    from voiced.thermal.heat import Heat
    from voiced.thermal.level import HeatChange

CELSIUS = gauge(
    "temperature_celsius", "Of the processor; missing where no sensor tells it.", "sensor"
)
LEVEL = gauge("heat_level", "0 not known, 1 normal, 2 warm, 3 hot, 4 critical.")
AT_LEVEL = counter("heat_level_seconds", "Time that the daemon spent at each level.", "level")
CHANGES = counter("heat_changes", "How often each level was entered.", "level")
SHEDDING = gauge(
    "shedding", "Whether that kind of work gives way to heat at the moment: 1 or 0.", "work"
)
SHED = counter(
    "shed",
    "Work that gave way to heat: answers that were not worked out in advance, replies that were "
    "asked to be short, requests to engines that were cancelled or refused, jobs that were parked.",
    "work",
)

FAMILIES = (CELSIUS, LEVEL, AT_LEVEL, CHANGES, SHEDDING, SHED)

GIVES_WAY_AT: Final = {
    "speculation": Level.WARM,
    "reply": Level.HOT,
    "job": Level.HOT,
    "request": Level.CRITICAL,
}
"""From which level on each kind of work gives way."""


class HeatHistory:
    """How long the daemon spent at each level, and how often it came to be there."""

    def __init__(self, heat: Heat) -> None:
        self._heat = heat
        self._since = trio.current_time()
        self._seconds = dict.fromkeys(Level, 0.0)
        self.changes: Counter[Level] = Counter()
        heat.subscribe(self._told)

    def seconds(self) -> Iterator[tuple[Level, float]]:
        """The time at each level, the present one included."""
        now = trio.current_time() - self._since
        for level in Level:
            yield level, self._seconds[level] + (now if level is self._heat.level else 0.0)

    def _told(self, change: HeatChange) -> None:
        now = trio.current_time()
        self._seconds[change.before] += now - self._since
        self._since = now
        self.changes[change.after] += 1


def read_heat(
    heat: Heat, history: HeatHistory, hub: SessionHub, inspector: Inspector, ledger: Ledger
) -> Iterator[Metric]:
    """All of them."""
    known = heat.celsius
    yield CELSIUS.of([] if known is None else [((heat.source,), known)])
    yield LEVEL.alone(heat.level)
    yield AT_LEVEL.of(((level.word,), seconds) for level, seconds in history.seconds())
    yield CHANGES.of(((level.word,), history.changes[level]) for level in Level)
    yield SHEDDING.of(((work,), heat.level >= level) for work, level in GIVES_WAY_AT.items())
    shed = {
        "speculation": hub.withheld_guesses,
        "reply": hub.tally.short_replies,
        "job": sum(n for (_, event), n in ledger.events.items() if event == "park"),
        "request": inspector.failures(TooHot.code),
    }
    yield SHED.of(((work,), count) for work, count in shed.items())
