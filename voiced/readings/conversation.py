"""The metrics of conversations, and of those who hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from voiced.readings.families import counter, gauge, histogram
from voiced.telemetry.distribution import Distribution
from voiced.telemetry.tally import TURN_BOUNDS_S, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from voiced.realtime.hub import SessionHub
    from voiced.telemetry.insights import Insights
    from voiced.web.door import Door

TURNS = histogram("turn_stage_seconds", "Time of one stage of a turn.", "stage")
RESPONSES = counter("responses", "Responses that ended, by status.", "status")
BARGE_INS = counter("barge_ins", "Responses that somebody interrupted by speaking.")
SESSIONS = gauge("sessions", "Sessions that are open.")
OPENED = counter("sessions_opened", "Sessions that were opened.")
CONNECTIONS = gauge("connections", "Connections, in whatever stage.")
WEBSOCKETS = gauge("websockets", "WebSockets of sessions and observers.")
REFUSED = counter("refused", "Connections and requests that were not let in, by code.", "code")
OBSERVERS = gauge("observers", "Observers of the insights stream.")
ERRORS = counter(
    "errors",
    "Errors that clients were told: by an event, a response that failed, or an HTTP answer.",
    *("source", "code"),
)
HELD = gauge("audio_held_bytes", "Audio from clients that is in memory.")
DROPPED = counter("audio_dropped_bytes", "Audio from clients that was lost: there was too much.")
EVICTED = counter(
    "outbox_evictions", "Sessions that were ended since their client did not read its events."
)

FAMILIES = (
    *(TURNS, RESPONSES, BARGE_INS, SESSIONS, OPENED, CONNECTIONS, WEBSOCKETS, REFUSED),
    *(OBSERVERS, ERRORS, HELD, DROPPED, EVICTED),
)

NOTHING: Final = Distribution(TURN_BOUNDS_S, recent=0)
STATUSES: Final = ("completed", "cancelled", "failed", "incomplete")


def read_conversations(hub: SessionHub, door: Door | None, insights: Insights) -> Iterator[Metric]:
    """All of them. What has not happened yet is there as 0, so that its first time is a rise."""
    tally = hub.tally
    yield TURNS.spread(((stage,), tally.turns.get(stage, NOTHING)) for stage in get_args(Stage))
    yield RESPONSES.of(((status,), tally.responses[status]) for status in STATUSES)
    yield BARGE_INS.alone(tally.barge_ins)
    yield SESSIONS.alone(hub.count)
    yield OPENED.alone(tally.sessions)
    yield OBSERVERS.alone(insights.observers)
    yield CONNECTIONS.alone(door.connections if door is not None else 0)
    yield WEBSOCKETS.alone(door.websockets if door is not None else 0)
    refused = {} if door is None else door.refused
    yield REFUSED.of(((code,), count) for code, count in refused.items())
    yield ERRORS.of(tally.errors.items())
    yield HELD.alone(hub.audio_bytes)
    yield DROPPED.alone(hub.dropped_bytes)
    yield EVICTED.alone(tally.outboxes_full)
