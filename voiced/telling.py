"""Tells those who watch the daemon what becomes of its engines, and of servers used as engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voiced.engines.spec import LABELS
from voiced.telemetry.insights import Fault, Warning_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voiced.engines.host import EngineHost
    from voiced.engines.http.provider import Provider
    from voiced.engines.lineup import Lineup
    from voiced.inspector import Inspector
    from voiced.telemetry.insights import Insights

ENDED: Final = "engine_ended"
"""The code of the warning that a process has ended which should not have."""

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

    host.subscribe(state=change, warning=warn)


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

    provider.record.on_warning = warn
    provider.on_change = change
