"""Jobs in the database: each function is a part of one transaction, and blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import delete, func, insert, select, update

from voiced.jobs.kind import JobFrame
from voiced.jobs.states import OVER, WAITING, Event, Status, after
from voiced.store.schema import frames, jobs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy.engine import Connection


class Note(msgspec.Struct, frozen=True):
    """Something that whoever sent a job should know: a code for programs, words for people."""

    code: str
    message: str


class EngineTime(msgspec.Struct, frozen=True):
    """How long an engine has worked for a job, and how often it was asked."""

    seconds: float = 0.0
    count: int = 0


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is stored, without its frames. Times are seconds since 1970."""

    seq: int = 0
    job_id: str
    kind: str
    status: Status = "queued"
    request: bytes
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    checkpoint: bytes | None = None
    progress: float | None = None
    tries: int = 0
    """Runs begun since anything was committed."""
    device_requested: str = "auto"
    device_used: str | None = None
    fallback: bool = False
    error: Note | None = None
    warnings: tuple[Note, ...] = ()
    timings: dict[str, EngineTime] = {}
    result_name: str | None = None
    result_type: str | None = None
    disk_bytes: int = 0
    """What lies in its directory, as of the last look."""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in OVER


_AS_JSON = {"error", "warnings", "timings"}


def add_job(connection: Connection, job: Job) -> None:
    """Put a new job at the end of the queue."""
    values = _columns(msgspec.structs.asdict(job))
    del values["seq"]
    connection.execute(insert(jobs).values(values))


def read_job(connection: Connection, job_id: str) -> Job | None:
    """The job, None for an unknown one."""
    row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().first()
    return None if row is None else _job(row)


def change_job(
    connection: Connection, job_id: str, event: Event, values: Mapping[str, Any]
) -> Job | None:
    """Lead a job to its next state, with `values` as new values of its columns.

    Returns the job as it is then, None for an unknown one. Raises `WrongState`.
    """
    job = read_job(connection, job_id)
    if job is None:
        return None
    return _update(connection, job, {"status": after(job.status, event), **values})


def next_job(connection: Connection, except_for: Collection[str]) -> Job | None:
    """The one that has waited longest for a run, of those that are not excepted."""
    query = select(jobs).where(jobs.c.status.in_(WAITING), jobs.c.job_id.not_in(except_for))
    row = connection.execute(query.order_by(jobs.c.seq).limit(1)).mappings().first()
    return None if row is None else _job(row)


def commit_work(
    connection: Connection, job_id: str, done: Sequence[JobFrame], values: Mapping[str, Any]
) -> list[JobFrame]:
    """Append frames and set columns, the checkpoint among them. Returns the frames, numbered."""
    job = read_job(connection, job_id)
    if job is None:
        raise LookupError(job_id)
    count = select(func.count()).select_from(frames).where(frames.c.job_seq == job.seq)
    first = connection.execute(count).scalar_one()
    numbered = [
        msgspec.structs.replace(frame, index=first + place) for place, frame in enumerate(done)
    ]
    if numbered:
        rows = [
            {"job_seq": job.seq, "number": frame.index, "frame": msgspec.json.encode(frame)}
            for frame in numbered
        ]
        connection.execute(insert(frames), rows)
    _update(connection, job, {"tries": 0, **values})
    return numbered


def read_frames(connection: Connection, job: Job, after_index: int = -1) -> list[JobFrame]:
    """The frames of a job behind that index, in order."""
    query = (
        select(frames.c.frame)
        .where(frames.c.job_seq == job.seq, frames.c.number > after_index)
        .order_by(frames.c.number)
    )
    return [msgspec.json.decode(frame, type=JobFrame) for frame in connection.scalars(query)]


def list_jobs(
    connection: Connection, *, limit: int, before_seq: int | None, status: Status | None
) -> list[Job]:
    """Jobs, the newest first, older than `before_seq` where that is given."""
    query = select(jobs).order_by(jobs.c.seq.desc()).limit(limit)
    if before_seq is not None:
        query = query.where(jobs.c.seq < before_seq)
    if status is not None:
        query = query.where(jobs.c.status == status)
    return [_job(row) for row in connection.execute(query).mappings()]


def count_jobs(connection: Connection) -> dict[Status, int]:
    """How many there are in each state that has any."""
    query = select(jobs.c.status, func.count()).group_by(jobs.c.status)
    return {row[0]: row[1] for row in connection.execute(query)}


def disk_used(connection: Connection) -> int:
    """Bytes that all jobs' directories hold, as far as is known."""
    return int(connection.execute(select(func.sum(jobs.c.disk_bytes))).scalar() or 0)


def interrupted_jobs(connection: Connection) -> list[Job]:
    """Those that were being run when the daemon ended without having stopped them."""
    query = select(jobs).where(jobs.c.status == "running")
    return [_job(row) for row in connection.execute(query).mappings()]


def files_kept(connection: Connection) -> dict[str, str | None]:
    """By job, the only file to keep of one that is over, "" for none; None for all files."""
    rows = connection.execute(select(jobs.c.job_id, jobs.c.status, jobs.c.result_name))
    return {id_: (name or "") if status in OVER else None for id_, status, name in rows}


def outdated_ids(connection: Connection, *, finished_before: float, most: int) -> list[str]:
    """Jobs that are over and need not be kept: too old, or more than `most` of them."""
    over = select(jobs.c.job_id).where(jobs.c.status.in_(OVER))
    old = connection.scalars(over.where(jobs.c.finished_at < finished_before))
    surplus = connection.scalars(over.order_by(jobs.c.finished_at.desc()).offset(most))
    return sorted({*old, *surplus})


def remove_jobs(connection: Connection, job_ids: Collection[str]) -> None:
    """Forget jobs and their frames; unknown ones are no error."""
    connection.execute(delete(jobs).where(jobs.c.job_id.in_(job_ids)))


def _update(connection: Connection, job: Job, values: Mapping[str, Any]) -> Job:
    connection.execute(update(jobs).where(jobs.c.seq == job.seq).values(_columns(values)))
    return msgspec.structs.replace(job, **values)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: (msgspec.json.encode(value) if value else None) if name in _AS_JSON else value
        for name, value in values.items()
    }


def _job(row: Mapping[Any, Any]) -> Job:
    values = {
        str(name): msgspec.json.decode(value) if name in _AS_JSON else value
        for name, value in row.items()
        if not (name in _AS_JSON and value is None)
    }
    return msgspec.convert(values, Job)
