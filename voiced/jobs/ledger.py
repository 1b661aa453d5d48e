"""The jobs as the daemon sees them: what is stored, counted, and told to observers.

Used by the runner, who leads jobs from state to state, and by the HTTP routes.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog

from voiced.jobs import records
from voiced.jobs.states import OVER
from voiced.jobs.telling import progress_of, tell_of_frame, tell_of_job, tell_of_note

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy.engine import Connection

    from voiced.jobs.kind import JobFrame
    from voiced.jobs.records import Job, Note
    from voiced.jobs.states import Event, Status
    from voiced.store.database import Database
    from voiced.telemetry.insights import Insights, Progress

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Ledger:
    """All jobs. What it raises of its own is `StoreError`; see `Database` for cancelling."""

    def __init__(
        self, database: Database, insights: Insights, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._insights = insights
        self._now = now
        self.counts: dict[Status, int] = {}
        """Jobs by state, as of the last change; none before the database was read."""
        self.disk_bytes = 0
        """In all directories of jobs, as of the last change."""
        self.events: Counter[tuple[str, str]] = Counter()
        """What happened to jobs since the daemon began, by kind and `Event`, or `submit`."""
        self._live: dict[str, Job] = {}

    @property
    def now(self) -> float:
        """Seconds since 1970, by the clock that records are made with."""
        return self._now()

    @property
    def unfinished(self) -> int:
        """Jobs that are not over."""
        return sum(count for status, count in self.counts.items() if status not in OVER)

    def reports(self) -> Iterable[Progress]:
        """How each job is that was begun and is not over, for an observer that comes."""
        return [progress_of(job, None) for job in self._live.values()]

    # -- what changes jobs

    async def add(self, job: Job) -> None:
        """Put a new job at the end of the queue."""
        await self._write(lambda connection: records.add_job(connection, job))
        self.events[job.kind, "submit"] += 1
        self._tell(job, None)

    async def change(self, job_id: str, event: Event, **values: Any) -> Job | None:  # noqa: ANN401
        """Lead a job to its next state. Returns it, None for an unknown one.

        Raises `WrongState` where the event cannot happen to it any more.
        """
        job = await self._write(
            lambda connection: records.change_job(connection, job_id, event, values)
        )
        if job is not None:
            self.events[job.kind, event] += 1
            self._tell(job, job.error.message if job.error else None)
        return job

    async def finish(self, job_id: str, event: Event, **values: Any) -> Job | None:  # noqa: ANN401
        """As `change`, to a state in which the job is over."""
        return await self.change(job_id, event, finished_at=self._now(), **values)

    async def commit(
        self,
        job_id: str,
        frames: Sequence[JobFrame],
        **values: Any,  # noqa: ANN401
    ) -> None:
        """Append frames and set columns, both or neither."""
        numbered = await self._write(
            lambda connection: records.commit_work(connection, job_id, frames, values)
        )
        for frame in numbered:
            tell_of_frame(self._insights, job_id, frame)
        if (progress := values.get("progress")) is not None:
            self.tell_progress(job_id, progress)

    def tell_progress(self, job_id: str, percent: float) -> None:
        """Tell observers how far a job is."""
        if (job := self._live.get(job_id)) is not None:
            self._tell(msgspec.structs.replace(job, progress=percent), None)

    def tell_note(self, job_id: str, note: Note) -> None:
        """Tell observers of something that the job's client will want to know."""
        tell_of_note(self._insights, job_id, note)

    async def recover(self) -> dict[str, str | None]:
        """Put back in the queue what was being run when the daemon ended.

        Returns, by job, the only file to keep of one that is over; None for all files.
        """

        def requeue(connection: Connection) -> tuple[list[Job], dict[str, str | None]]:
            lost = records.interrupted_jobs(connection)
            for job in lost:
                records.change_job(connection, job.job_id, "requeue", {})
            return lost, records.files_kept(connection)

        lost, kept = await self._write(requeue)
        for job in lost:
            log.warning("job was interrupted", job_id=job.job_id, kind=job.kind, tries=job.tries)
        return kept

    async def remove(self, job_ids: Collection[str]) -> None:
        """Forget jobs that are over, and their frames."""
        await self._write(lambda connection: records.remove_jobs(connection, job_ids))

    # -- what looks at them

    async def next(self, except_for: Collection[str]) -> Job | None:
        """The job that has waited longest for a run, of those that are not excepted."""
        return await self._database.read(
            lambda connection: records.next_job(connection, except_for)
        )

    async def get(self, job_id: str) -> Job | None:
        """A job, None for an unknown one."""
        return await self._database.read(lambda connection: records.read_job(connection, job_id))

    async def get_with_frames(
        self, job_id: str, after: int = -1
    ) -> tuple[Job, list[JobFrame]] | None:
        """A job and its frames behind the index `after`, as of one moment."""

        def read(connection: Connection) -> tuple[Job, list[JobFrame]] | None:
            job = records.read_job(connection, job_id)
            return None if job is None else (job, records.read_frames(connection, job, after))

        return await self._database.read(read)

    async def page(
        self, *, limit: int, before: str | None = None, status: Status | None = None
    ) -> list[Job] | None:
        """Jobs, the newest first, older than the job `before`; None where that is unknown."""

        def read(connection: Connection) -> list[Job] | None:
            edge = None if before is None else records.read_job(connection, before)
            if before is not None and edge is None:
                return None
            return records.list_jobs(
                connection, limit=limit, before_seq=edge.seq if edge else None, status=status
            )

        return await self._database.read(read)

    async def outdated(self, *, keep_s: float, most: int) -> list[str]:
        """The ids of jobs that are over and need not be kept any longer."""
        before = self._now() - keep_s
        return await self._database.read(
            lambda connection: records.outdated_ids(connection, finished_before=before, most=most)
        )

    # -- inside

    async def _write(self, function: Callable[[Connection], T]) -> T:
        def write(connection: Connection) -> tuple[T, dict[Status, int], int]:
            result = function(connection)
            return result, records.count_jobs(connection), records.disk_used(connection)

        result, self.counts, self.disk_bytes = await self._database.write(write)
        return result

    def _tell(self, job: Job, reason: str | None) -> None:
        if job.over:
            self._live.pop(job.job_id, None)
        else:
            self._live[job.job_id] = job
        tell_of_job(self._insights, job, reason)
