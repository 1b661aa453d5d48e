"""A job without a queue and a store: one run, for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from voiced.jobs.kind import JobFrame, JobRequest


class MemoryWork:
    """A `Work` that keeps all in memory but the files in `directory`, which is the caller's.

    `told` hears how far it is, in percent.
    """

    def __init__(
        self,
        request: JobRequest,
        directory: Path,
        told: Callable[[float], None] = lambda percent: None,
        job_id: str = "",
    ) -> None:
        self.job_id = job_id
        self.request: Any = request
        self.directory = directory
        self.checkpoint: bytes | None = None
        self.result: Path | None = None
        self.warnings: list[tuple[str, str]] = []
        self.seconds: dict[str, float] = {}
        self._frames: list[JobFrame] = []
        self._told = told

    async def commit(
        self,
        checkpoint: bytes,
        frames: Sequence[JobFrame] = (),
        progress: float | None = None,
    ) -> None:
        """See `Work.commit`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self.checkpoint = checkpoint
        for frame in frames:
            self._frames.append(msgspec.structs.replace(frame, index=len(self._frames)))
        if progress is not None:
            self._told(progress)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def frames(self) -> list[JobFrame]:
        """See `Work.frames`."""
        await trio.lowlevel.checkpoint()
        return list(self._frames)

    async def publish(self, name: str, media_type: str) -> None:
        """See `Work.publish`."""
        await trio.lowlevel.checkpoint()
        self.result = self.directory / name

    def progress(self, percent: float) -> None:
        """See `Work.progress`."""
        self._told(percent)

    def warn(self, code: str, message: str) -> None:
        """See `Work.warn`."""
        self.warnings.append((code, message))

    def timing(self, engine: str, seconds: float) -> None:
        """See `Work.timing`."""
        self.seconds[engine] = self.seconds.get(engine, 0.0) + seconds

    def used(self, device: str, *, fallback: bool = False) -> None:
        """See `Work.used`."""

    async def pause_point(self) -> None:
        """See `Work.pause_point`."""
        await trio.lowlevel.checkpoint()
