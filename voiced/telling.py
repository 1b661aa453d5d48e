"""Tells those who watch the daemon what becomes of its engines, of servers used as engines, and
how warm the processor is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVarTuple

import structlog
import trio

from voiced.engines.spec import LABELS
from voiced.telemetry.insights import Fault, PluginStatus, Warning_
from voiced.thermal.level import Level
from voiced.thermal.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from voiced.engines.host import EngineHost
    from voiced.engines.http.provider import Provider
    from voiced.engines.lineup import Lineup
    from voiced.inspector import Inspector
    from voiced.telemetry.insights import Insights
    from voiced.thermal.heat import Heat
    from voiced.thermal.level import HeatChange

Ts = TypeVarTuple("Ts")

log = structlog.get_logger(__name__)

ENDED: Final = "engine_ended"
"""The code of the warning that a process has ended which should not have."""

HEAT: Final = "heat"
"""The code of the warning that something gives way to heat."""

FIGURES_S: Final = 10.0
"""How often those who watch get figures that have changed, beside each change of a state."""

LONGEST: Final = 1_000
"""Characters of a reason that are told: a server may give any length of it."""


def tell_of_engines(insights: Insights, inspector: Inspector, lineups: Iterable[Lineup]) -> None:
    """From now on, tell `insights` of every change, and of how all of them do when it asks."""
    for lineup in lineups:
        for host in lineup.hosts:
            tell_of_host(insights, inspector, host)
        for provider in lineup.providers:
            tell_of_provider(insights, inspector, provider)
    insights.add_source(inspector.statuses)


async def serve_figures(
    insights: Insights, inspector: Inspector, every_s: float = FIGURES_S
) -> None:
    """Tell those who watch of figures that have changed, such as how long requests take, until
    cancelled. While nobody does, nobody looks. A fault in here costs the figures of that time."""
    told: dict[tuple[str, str], PluginStatus] = {}
    while True:
        await trio.sleep(every_s)
        if not insights.wanted("plugin_status"):
            told.clear()
            continue
        try:
            for status in inspector.statuses():
                key = (status.kind, status.name)
                if told.get(key) != status:
                    told[key] = status
                    insights.plugin_status(status)
        except Exception:
            log.exception("figures of engines not told")


def tell_of_host(insights: Insights, inspector: Inspector, host: EngineHost) -> None:
    """Each state of an engine, and what goes wrong with it."""
    name = f"{host.spec.kind}.{host.spec.name}"
    label = LABELS[host.spec.kind]

    def warn(code: str, message: str) -> None:
        if code == ENDED:
            why = f"{label} failed and is started again: {message[:LONGEST]}"
            insights.error(Fault(code=code, message=why, subject=name))
        else:
            insights.warning(Warning_(code=code, message=message[:LONGEST], subject=name))

    def change(state: str) -> None:
        if insights.wanted("plugin_status"):
            insights.plugin_status(inspector.host_status(host))

    host.subscribe(state=harmless(change), warning=harmless(warn))


def tell_of_provider(insights: Insights, inspector: Inspector, provider: Provider) -> None:
    """Each failure of a server, and when it works again."""
    name = f"{provider.kind}.{provider.name}"
    label = f"{provider.name}, a server for {LABELS[provider.kind]}"

    def warn(code: str, message: str) -> None:
        why = f"{label}: {message[:LONGEST]}"
        insights.warning(Warning_(code=code, message=why, subject=name))

    def change() -> None:
        if insights.wanted("plugin_status"):
            insights.plugin_status(inspector.provider_status(provider))

    provider.record.on_warning = harmless(warn)
    provider.on_change = harmless(change)


def harmless(tell: Callable[[*Ts], None]) -> Callable[[*Ts], None]:
    """`tell`, whose faults are logged: who is told of an engine must not be able to end it."""

    def told(*args: *Ts) -> None:
        try:
            tell(*args)
        except Exception:
            log.exception("those who watch were not told")

    return told


def tell_of_heat(insights: Insights, heat: Heat) -> None:
    """Each change of the level as a status, as a warning where a person would notice what gives
    way, and how it is now when somebody asks."""

    def change(change: HeatChange) -> None:
        insights.plugin_status(heat_status(heat))
        if max(change.before, change.after) >= Level.HOT:
            insights.warning(Warning_(code=HEAT, message=words_of(heat), subject="thermal"))

    heat.subscribe(change)
    insights.add_source(lambda: [heat_status(heat)])


def heat_status(heat: Heat) -> PluginStatus:
    """The supervision of the temperature as one of the parts. `name` is the sensor."""
    return PluginStatus(
        kind="thermal",
        name=heat.source[-200:] or "no sensor",
        state=heat.level.word,
        reason=None if heat.level is Level.NORMAL else words_of(heat),
    )
