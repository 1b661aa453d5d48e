"""Tells those who watch the daemon what becomes of its jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from voiced.telemetry.insights import Fault, Frame, Progress, Warning_

if TYPE_CHECKING:
    from voiced.jobs.kind import JobFrame
    from voiced.jobs.records import Job, Note
    from voiced.telemetry.insights import Insights

MOST_WORDS: Final = 1_000
MOST_TEXT: Final = 20_000
"""Characters of a reason, and of a segment, that observers are told: the job itself has all."""


def tell_of_job(insights: Insights, job: Job, reason: str | None) -> None:
    """A job is in another state, or has got further; one that failed is an error, too."""
    insights.progress(progress_of(job, reason))
    if job.status == "failed":
        message = f"A job failed: {reason or 'nobody knows why'}"[:MOST_WORDS]
        code = "job_failed" if job.error is None else job.error.code
        insights.error(Fault(code=code, message=message, subject=job.job_id))


def tell_of_frame(insights: Insights, job_id: str, frame: JobFrame) -> None:
    """A segment of a job was stored."""
    insights.frame(
        Frame(
            job_id=job_id,
            index=frame.index,
            start_s=frame.start_s or 0.0,
            end_s=frame.end_s or 0.0,
            text=frame.text[:MOST_TEXT],
        )
    )


def tell_of_note(insights: Insights, job_id: str, note: Note) -> None:
    """Something about a job that its client will want to know."""
    message = note.message[:MOST_WORDS]
    insights.warning(Warning_(code=note.code, message=message, subject=job_id))


def progress_of(job: Job, reason: str | None) -> Progress:
    """What observers are told of a job."""
    return Progress(
        job_id=job.job_id,
        kind=job.kind,
        status=job.status,
        percent=round(job.progress or 0.0, 1),
        reason=reason[:MOST_WORDS] if reason else None,
    )
