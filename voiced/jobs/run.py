"""One run of a job: what its kind is given to work with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import trio

from voiced.errors import JobStorageFull
from voiced.jobs.records import EngineTime, Note

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from voiced.jobs.kind import JobFrame
    from voiced.jobs.ledger import Ledger
    from voiced.jobs.records import Job
    from voiced.jobs.shelf import Shelf

MOST_WARNINGS = 50
"""Of one job; a kind that warns of every second of a recording would fill the disk."""

MOST_ENGINES = 20

Why = Literal["cancel", "heat", "stop"]
"""On whose account a run is broken off: a client's, the heat's, or that of a daemon that stops."""


class Run:
    """See `voiced.jobs.kind.Work`. Made, and waited for, by the runner."""

    def __init__(
        self,
        job: Job,
        *,
        ledger: Ledger,
        shelf: Shelf,
        limiter: trio.CapacityLimiter,
        most_bytes: int,
        pause: Callable[[Run], Awaitable[None]],
    ) -> None:
        self.job = job
        self.scope = trio.CancelScope()
        self.why: Why | None = None
        self.over = trio.Event()
        self.request: Any = None
        self.result_name = job.result_name
        self._ledger = ledger
        self._shelf = shelf
        self._limiter = limiter
        self._most_bytes = most_bytes
        self._pause = pause
        self._checkpoint = job.checkpoint
        self._committed = False
        self._warnings = list(job.warnings)
        self._timings = dict(job.timings)
        self._device: tuple[str, bool] = ("cpu", job.device_requested not in ("auto", "cpu"))

    def stop(self, why: Why) -> None:
        """Break it off; the first reason counts, but that a client wants it gone. Never waits."""
        if self.why is None or why == "cancel":
            self.why = why
        self.scope.cancel(reason=why)

    @property
    def committed(self) -> bool:
        """Whether this run got any further."""
        return self._committed

    # -- Work

    @property
    def job_id(self) -> str:
        return self.job.job_id

    @property
    def directory(self) -> Path:
        return self._shelf.place(self.job.job_id)

    @property
    def checkpoint(self) -> bytes | None:
        return self._checkpoint

    async def commit(
        self,
        checkpoint: bytes,
        frames: Sequence[JobFrame] = (),
        progress: float | None = None,
    ) -> None:
        size = await self._measure()
        values: dict[str, Any] = {"checkpoint": checkpoint, "disk_bytes": size, **self.facts()}
        if progress is not None:
            values["progress"] = progress
        await self._ledger.commit(self.job.job_id, frames, **values)
        self._checkpoint = checkpoint
        self._committed = True

    async def frames(self) -> list[JobFrame]:
        found = await self._ledger.get_with_frames(self.job.job_id)
        return [] if found is None else found[1]

    async def publish(self, name: str, media_type: str) -> None:
        await self._measure()
        size = await trio.to_thread.run_sync(
            self._shelf.secure, self.job.job_id, limiter=self._limiter
        )
        await self._ledger.commit(
            self.job.job_id,
            (),
            result_name=name,
            result_type=media_type,
            disk_bytes=size,
            **self.facts(),
        )
        self.result_name = name

    def progress(self, percent: float) -> None:
        self._ledger.tell_progress(self.job.job_id, percent)

    def warn(self, code: str, message: str) -> None:
        note = Note(code, message)
        if note not in self._warnings and len(self._warnings) < MOST_WARNINGS:
            self._warnings.append(note)
            self._ledger.tell_note(self.job.job_id, note)

    def timing(self, engine: str, seconds: float) -> None:
        known = self._timings.get(engine, EngineTime())
        if engine in self._timings or len(self._timings) < MOST_ENGINES:
            self._timings[engine] = EngineTime(known.seconds + seconds, known.count + 1)

    def used(self, device: str, *, fallback: bool = False) -> None:
        self._device = (device, fallback)

    async def pause_point(self) -> None:
        await self._pause(self)

    # -- inside

    def facts(self) -> dict[str, Any]:
        """What is stored of a run besides its work."""
        device, fallback = self._device
        return {
            "device_used": device,
            "fallback": fallback,
            "warnings": tuple(self._warnings),
            "timings": dict(self._timings),
        }

    async def _measure(self) -> int:
        """What lies in the directory. Raises `JobStorageFull`, and `OSError` as of a full disk."""
        size = await trio.to_thread.run_sync(
            self._shelf.measure, self.job.job_id, limiter=self._limiter
        )
        if self._ledger.disk_bytes - self.job.disk_bytes + size > self._most_bytes:
            raise no_room()
        return size


def no_room() -> JobStorageFull:
    """What is said where the files of all jobs would take more room than they may."""
    return JobStorageFull("The files of all jobs take as much room as they may (jobs.disk_mb).")
