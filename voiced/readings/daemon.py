"""The metrics of the daemon itself: whether it is well, and what it takes of the machine."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector

from voiced import __version__
from voiced.readings.families import Family, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import Metric

    from voiced.inspector import Inspector
    from voiced.status import Status
    from voiced.supervision.hearts import Hearts
    from voiced.supervision.lag import LagMeter

BUILD = gauge("build_info", "What runs here: always 1.", "version", "python")
READY = gauge("ready", "Whether a conversation can be held now: 1 or 0.")
LAG = histogram("loop_lag_seconds", "How late the event loop woke, 20 times a second.")
LAG_P99 = gauge("loop_lag_p99_seconds", "The 99th percentile of that over the last minute.")
LAG_MAX = gauge("loop_lag_max_seconds", "The worst of it in the last minute.")
HEART_AGE = gauge("heart_age_seconds", "Time since the last sign of life of a part.", "heart")
HEART_LIMIT = gauge(
    "heart_limit_seconds", "Beyond this age a part is stuck, and the watchdog not fed.", "heart"
)
STALE = gauge("hearts_stale", "Parts that have shown no sign of life for too long.")
MEMORY = gauge(
    "memory_pss_bytes",
    "Proportional set size of the daemon and of each engine's process, up to a minute old.",
    "part",
)
DISK_FREE = gauge("state_disk_free_bytes", "Free for the daemon where its state directory is.")
DISK_SIZE = gauge("state_disk_size_bytes", "Size of the file system of its state directory.")

FAMILIES = (
    *(BUILD, READY, LAG, LAG_P99, LAG_MAX, HEART_AGE, HEART_LIMIT, STALE),
    *(MEMORY, DISK_FREE, DISK_SIZE),
)

PROCESS = (
    Family(
        "process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."
    ),
    Family("process_max_fds", "gauge", "Maximum number of open file descriptors."),
    Family("process_open_fds", "gauge", "Number of open file descriptors."),
    Family("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
    Family(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
    ),
    Family("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes."),
)
"""What Prometheus' own library tells of every process, in its words."""


def read_health(status: Status, lag: LagMeter, hearts: Hearts) -> Iterator[Metric]:
    """Whether it is well."""
    yield BUILD.of([((__version__, platform.python_version()), 1)])
    yield READY.alone(status.ready().ready)
    yield LAG.spread([((), lag.lateness)])
    recent = lag.read()
    yield LAG_P99.alone(recent.p99_ms / 1000)
    yield LAG_MAX.alone(recent.max_ms / 1000)
    yield HEART_AGE.of(((name,), age_s) for name, age_s in hearts.ages_s().items())
    yield HEART_LIMIT.of(((name,), limit_s) for name, limit_s in hearts.limits_s().items())
    yield STALE.alone(len(hearts.stale()))


def read_use(inspector: Inspector, state: Path) -> Iterator[Metric]:
    """What it takes of the machine, as it was when last looked at closely."""
    yield MEMORY.of(((part,), size) for part, size in inspector.memory().items())
    try:
        room = os.statvfs(state)
    except OSError:  # the disk has gone: what cannot be read is left out
        return
    yield DISK_FREE.alone(room.f_bavail * room.f_frsize)
    yield DISK_SIZE.alone(room.f_blocks * room.f_frsize)


def read_process() -> Iterator[Metric]:
    """What the library tells of each process."""
    yield from _PROCESS.collect()


_PROCESS = ProcessCollector(registry=None)
