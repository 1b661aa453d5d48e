"""Jobs as HTTP clients see them."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from voiced.jobs.kind import JobFrame
from voiced.jobs.records import EngineTime, Job, Note
from voiced.jobs.states import Status


class JobAnswer(Struct, frozen=True, kw_only=True):
    """A job: these six fields and no others. `device_used` is null until it was begun."""

    job_id: str
    status: Status
    device_requested: str
    device_used: str | None
    fallback: bool
    frames: list[JobFrame]


class ExtendedJob(JobAnswer, frozen=True, kw_only=True):
    """A job and more about it, each where it is known. `progress` is 0 to 100; `plugin_timings`
    has the seconds that engines worked for it; the last of the `warnings` of a failed one says
    why."""

    progress: float | UnsetType = UNSET
    plugin_timings: dict[str, EngineTime] | UnsetType = UNSET
    warnings: list[Note] | UnsetType = UNSET


class JobTaken(Struct, frozen=True, kw_only=True):
    """A job was taken; it is at the address in `Location`."""

    job_id: str
    status: Status


class JobSummary(Struct, frozen=True, kw_only=True):
    """A job in a list. Times are seconds since 1970."""

    job_id: str
    type: str
    status: Status
    progress: float | None
    created_at: float
    started_at: float | None
    finished_at: float | None
    error: Note | None


class JobList(Struct, frozen=True, kw_only=True):
    """Jobs, the newest first. Where `has_more`, ask again with `before` the last one's id."""

    object: str = "list"
    data: list[JobSummary]
    has_more: bool


def plain(job: Job, frames: list[JobFrame]) -> JobAnswer:
    """The six fields."""
    return JobAnswer(**_six(job, frames))


def extended(job: Job, frames: list[JobFrame]) -> ExtendedJob:
    """The six fields and what else is known."""
    warnings = [*job.warnings, *([job.error] if job.error else [])]
    return ExtendedJob(
        **_six(job, frames),
        progress=UNSET if job.progress is None else round(job.progress, 1),
        plugin_timings=job.timings or UNSET,
        warnings=warnings or UNSET,
    )


def summary(job: Job) -> JobSummary:
    """A line of the list."""
    return JobSummary(
        job_id=job.job_id,
        type=job.kind,
        status=job.status,
        progress=None if job.progress is None else round(job.progress, 1),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        error=job.error,
    )


def _six(job: Job, frames: list[JobFrame]) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status,
        "device_requested": job.device_requested,
        "device_used": job.device_used,
        "fallback": job.fallback,
        "frames": frames,
    }
