"""The metrics of engines, servers and tools."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from voiced.inspector import PRIORITY_WORDS
from voiced.readings.families import counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from voiced.inspector import Inspector

INFO = gauge(
    "engine_info",
    "What it is: always 1.",
    *("kind", "engine", "role", "version", "model"),
)
READY = gauge("engine_ready", "Whether it would do what it is asked now: 1 or 0.", "kind", "engine")
QUEUE = gauge("engine_queue_depth", "Requests that wait for it.", "kind", "engine")
QUEUE_LIMIT = gauge(
    "engine_queue_limit", "Requests that may wait for it; one more is refused.", "kind", "engine"
)
RUNNING = gauge("engine_running", "Requests that it works on.", "kind", "engine")
RESTARTS = counter(
    "engine_restarts", "How often its process was replaced, after it had ended.", "kind", "engine"
)
FAILURES = counter(
    "engine_failures", "Requests that failed, by the code of their error.", "kind", "engine", "code"
)
CIRCUIT = gauge(
    "engine_circuit_open",
    "Whether it is left alone after repeated failures: 1 or 0.",
    *("kind", "engine"),
)
SECONDS = histogram(
    "engine_stage_seconds",
    "Time of one stage of its requests.",
    *("kind", "engine", "stage", "priority"),
)
VAD_SECONDS = histogram(
    "vad_run_seconds", "Time of one run of the voice activity detector, in the daemon itself."
)

FAMILIES = (
    *(INFO, READY, QUEUE, QUEUE_LIMIT, RUNNING, RESTARTS, FAILURES, CIRCUIT, SECONDS, VAD_SECONDS),
)


def read_engines(inspector: Inspector) -> Iterator[Metric]:
    """All of them. Does not look at their memory."""
    found = inspector.look()
    name = {facts.id: (facts.kind, facts.id.partition(".")[2]) for facts in found}
    yield INFO.of(((*name[f.id], f.role, f.version, f.model), 1) for f in found)
    yield READY.of((name[f.id], f.state in {"ready", "failing"}) for f in found)
    yield RUNNING.of((name[f.id], f.running) for f in found)
    yield FAILURES.of(
        ((*name[f.id], code), count) for f in found for code, count in f.failures.items()
    )
    own = [f for f in found if f.role in {"engine", "fast_path"}]
    yield QUEUE.of((name[f.id], f.queue) for f in own)
    yield QUEUE_LIMIT.of((name[f.id], f.queue_limit) for f in own if f.queue_limit is not UNSET)
    yield RESTARTS.of((name[f.id], f.restarts) for f in own)
    yield CIRCUIT.of(
        (name[f.id], f.circuit.state in {"open", "trial"}) for f in found if f.circuit is not UNSET
    )
    yield SECONDS.spread(
        ((*name[key], stage, PRIORITY_WORDS[priority]), series)
        for key, timings in inspector.timings()
        for stage, priority, series in timings.read()
    )
    if inspector.vad is not None:
        yield VAD_SECONDS.spread([((), inspector.vad.timings)])
