"""The metrics of background work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.jobs.states import STATUSES
from voiced.readings.families import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from voiced.jobs.desk import Desk
    from voiced.settings import Jobs as JobsSettings

READY = gauge("jobs_ready", "Whether jobs are taken, and the database can be read: 1 or 0.")
JOBS = gauge("jobs", "Jobs by status, those that are over and still kept too.", "status")
UNFINISHED = gauge("jobs_unfinished", "Jobs that are not over: queued, running or parked.")
UNFINISHED_LIMIT = gauge(
    "jobs_unfinished_limit", "Jobs that may be so at once; a further one is refused."
)
EVENTS = counter(
    "job_events",
    "What happened to jobs: submit, begin (a run), park, resume, requeue, and complete, fail or "
    "cancel at the end.",
    *("kind", "event"),
)
DISK = gauge("jobs_disk_bytes", "Files of all jobs.")
DISK_LIMIT = gauge("jobs_disk_limit_bytes", "Files that they may have; more is refused.")

FAMILIES = (READY, JOBS, UNFINISHED, UNFINISHED_LIMIT, EVENTS, DISK, DISK_LIMIT)


def read_jobs(desk: Desk, settings: JobsSettings) -> Iterator[Metric]:
    """All of them. Where the database could not be read, how many there are is not known."""
    ledger, ready = desk.ledger, desk.ready
    yield READY.alone(ready)
    yield JOBS.of(((status,), ledger.counts.get(status, 0)) for status in STATUSES if ready)
    yield UNFINISHED.alone(ledger.unfinished if ready else None)
    yield UNFINISHED_LIMIT.alone(settings.queue)
    yield EVENTS.of(ledger.events.items())
    yield DISK.alone(ledger.disk_bytes if ready else None)
    yield DISK_LIMIT.alone(settings.disk_mb * 1e6)
