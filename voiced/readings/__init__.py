"""What the metrics of a running daemon are, and where each of them is read."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from voiced.readings import conversation, daemon, engines, heat, jobs
from voiced.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from voiced.inspector import Inspector
    from voiced.jobs.desk import Desk
    from voiced.readings.families import Family
    from voiced.realtime.hub import SessionHub
    from voiced.settings import Settings
    from voiced.status import Status
    from voiced.supervision.hearts import Hearts
    from voiced.supervision.lag import LagMeter
    from voiced.telemetry.insights import Insights
    from voiced.thermal.heat import Heat

CHAPTERS: dict[str, tuple[Family, ...]] = {
    "Is it well?": daemon.FAMILIES,
    "Conversation": conversation.FAMILIES,
    "Heat": heat.FAMILIES,
    "Engines and tools": engines.FAMILIES,
    "Jobs": jobs.FAMILIES,
    "The process": daemon.PROCESS,
}
"""All metrics, as docs/operations.md has them."""


def open_metrics(
    *,
    inspector: Inspector,
    status: Status,
    hub: SessionHub,
    insights: Insights,
    warmth: Heat,
    desk: Desk,
    lag: LagMeter,
    hearts: Hearts,
    settings: Settings,
    state: Path,
) -> Metrics:
    """The metrics of a daemon that consists of these; `state` is its state directory."""
    metrics = Metrics()
    metrics.add_source(partial(daemon.read_health, status, lag, hearts))
    metrics.add_source(lambda: conversation.read_conversations(hub, status.door, insights))
    history = heat.HeatHistory(warmth)
    metrics.add_source(partial(heat.read_heat, warmth, history, hub, inspector, desk.ledger))
    metrics.add_source(partial(engines.read_engines, inspector))
    metrics.add_source(partial(jobs.read_jobs, desk, settings.jobs))
    metrics.add_source(partial(daemon.read_use, inspector, state))
    metrics.add_source(daemon.read_process)
    return metrics
