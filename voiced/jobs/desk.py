"""Where jobs are handed in, asked for, cancelled and removed: what the HTTP routes work with."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple

import msgspec
import trio

from voiced.errors import JobQueueFull, JobStillRuns, StorageError, StoreError, StoreFull
from voiced.jobs.kind import INPUT_NAME, JobError
from voiced.jobs.records import Job
from voiced.jobs.run import no_room
from voiced.jobs.states import WrongState
from voiced.store.room import FULL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Mapping
    from pathlib import Path

    from voiced.jobs.kind import JobKind, JobRequest
    from voiced.jobs.ledger import Ledger
    from voiced.jobs.runner import Runner
    from voiced.jobs.shelf import Shelf
    from voiced.settings import Jobs as JobsSettings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CANCEL_S: Final = 10.0
"""How long somebody who cancels a job is made to wait until it has ended."""

CLEAN_S: Final = 5.0
WRITE_S: Final = 60.0


class Desk:
    """All that can be done about jobs from outside. Raises `StoreError` from everywhere."""

    def __init__(
        self,
        settings: JobsSettings,
        kinds: Mapping[str, JobKind],
        ledger: Ledger,
        shelf: Shelf,
        runner: Runner,
    ) -> None:
        self.kinds = kinds
        self.ledger = ledger
        self._settings = settings
        self._shelf = shelf
        self._runner = runner
        self._limiter = trio.CapacityLimiter(2)  # of its own, see Runner
        self._drafts: set[Draft] = set()
        self._taking = 0  # jobs on their way into the queue: bringing a file to disk takes a while

    @property
    def ready(self) -> bool:
        """Whether jobs are taken: those that the last daemon left were read."""
        return self._runner.recovered

    @asynccontextmanager
    async def draft(self) -> AsyncGenerator[Draft, None]:
        """A job that is being handed in, with a directory of its own for its file.

        Raises `JobQueueFull`. What was not submitted when the context is left is removed.
        """
        self._check_queue()
        draft = Draft(self, f"job_{secrets.token_hex(12)}")
        await self._in_thread(self._shelf.make, draft.job_id)
        self._drafts.add(draft)
        try:
            yield draft
        finally:
            self._drafts.discard(draft)
            if not draft.submitted:
                with trio.move_on_after(CLEAN_S, shield=True):
                    await self._in_thread(self._shelf.remove, draft.job_id)

    async def cancel(self, job_id: str) -> Job | None:
        """Cancel a job that is not over; returns it as it is then, None for an unknown one.

        Waits for the end of its run, no longer than `CANCEL_S`.
        """
        if (run := self._runner.run_of(job_id)) is not None:
            run.stop("cancel")
            with trio.move_on_after(CANCEL_S):
                await run.over.wait()
            if not run.over.is_set():
                return await self.ledger.get(job_id)
        try:
            with in_one_go("a job was not cancelled"):
                job = await self.ledger.finish(job_id, "cancel", disk_bytes=0)
                if job is not None:
                    await self._in_thread(self._shelf.tidy, job_id, None)
                    self._runner.wake()
        except WrongState:  # it is over
            return await self.ledger.get(job_id)
        return job

    async def remove(self, job_id: str) -> bool:
        """Cancel a job where it is not over, and forget it and its result; False where unknown.

        Raises `JobStillRuns` where it does not end.
        """
        job = await self.cancel(job_id)
        if job is None:
            return False
        if not job.over:
            raise JobStillRuns("The job is being ended; try again in a moment.")
        with in_one_go("a job was not removed"):
            await self.forget([job_id])
        return True

    async def forget(self, job_ids: list[str]) -> None:
        """Forget jobs that are over, first, and then remove their files."""
        await self.ledger.remove(job_ids)
        for job_id in job_ids:
            await self._in_thread(self._shelf.remove, job_id)

    async def sweep(self) -> int:
        """Remove jobs that need not be kept any longer; returns how many."""
        outdated = await self.ledger.outdated(
            keep_s=self._settings.keep_hours * 3600, most=self._settings.keep
        )
        if outdated:
            await self.forget(outdated)
        return len(outdated)

    def result_path(self, job: Job) -> Path | None:
        """The file that a completed job has made, where it has made one."""
        if job.status != "completed" or job.result_name is None:
            return None
        return self._shelf.place(job.job_id) / job.result_name

    # -- for drafts

    def check_room(self, draft: Draft, more: int) -> None:
        """Raise `JobStorageFull` where so many bytes more would be too many."""
        taken = self.ledger.disk_bytes + sum(one.size for one in self._drafts)
        if taken + more > self._settings.disk_mb * 1e6:
            raise no_room()

    def place(self, job_id: str) -> Path:
        """Where a job's files are."""
        return self._shelf.place(job_id)

    async def take(self, draft: Draft, request: JobRequest) -> Job:
        """See `Draft.submit`."""
        kind = self.kinds[str(request.__struct_config__.tag)]
        check_file(kind, has_file=draft.has_file)
        request = kind.check(request, has_file=draft.has_file)
        self._check_queue()
        self._taking += 1
        try:
            return await self._keep(draft, kind, request)
        finally:
            self._taking -= 1

    async def _keep(self, draft: Draft, kind: JobKind, request: JobRequest) -> Job:
        if not draft.has_file:
            await self._in_thread(self._shelf.tidy, draft.job_id, None)
        # Whoever is told that a job was taken may cut the power then.
        size = await self._in_thread(self._shelf.secure, draft.job_id)
        job = Job(
            job_id=draft.job_id,
            kind=kind.name,
            request=msgspec.json.encode(request),
            created_at=self.ledger.now,
            device_requested=request.device,
            disk_bytes=size,
        )
        with in_one_go("a job was not written"):
            await self.ledger.add(job)
            draft.submitted = True
        self._runner.wake()
        return job

    def _check_queue(self) -> None:
        if not self.ready:
            raise StoreError("the jobs of the last daemon were not read yet")
        if (count := self.ledger.unfinished + self._taking) >= self._settings.queue:
            raise JobQueueFull(
                f"{count} jobs wait or are worked on already (jobs.queue); try "
                "again when one is done."
            )

    async def _in_thread(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        try:
            return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)
        except OSError as exc:
            if exc.errno in FULL:
                raise StoreFull("the disk is full: a job's files cannot be kept") from exc
            raise StorageError(f"a job's files cannot be kept: {exc.strerror}") from exc


class Draft:
    """A job that is being handed in. Made by `Desk.draft`."""

    def __init__(self, desk: Desk, job_id: str) -> None:
        self._desk = desk
        self.job_id = job_id
        self.size = 0
        self.has_file = False
        self.submitted = False

    @property
    def directory(self) -> Path:
        """Where its file belongs, under the name `INPUT_NAME`."""
        return self._desk.place(self.job_id)

    @property
    def input(self) -> Path:
        """Where its file belongs."""
        return self.directory / INPUT_NAME

    def expect(self, size: int) -> None:
        """A file of about that size is to come. Raises `JobStorageFull`."""
        self._desk.check_room(self, size)

    def grow(self, size: int) -> None:
        """So many bytes more have come. Raises `JobStorageFull`."""
        self._desk.check_room(self, size)
        self.size += size

    async def submit(self, request: JobRequest) -> Job:
        """Put it in the queue; once this returns nothing takes it from there but its end.

        Raises `JobError` and `JobQueueFull`.
        """
        return await self._desk.take(self, request)


@contextmanager
def in_one_go(failed: str) -> Generator[None, None, None]:
    """What is written of a job and what follows from that, not cut short when its client goes: it
    may be written already, and its files and what is counted of it have to fit.

    Raises `StoreError`, with `failed` as its beginning, where it takes too long.
    """
    with trio.move_on_after(WRITE_S, shield=True) as scope:
        yield
    if scope.cancelled_caught:
        raise StoreError(f"{failed} within {WRITE_S:g} s")


def check_file(kind: JobKind, *, has_file: bool) -> None:
    """Raise `JobError` where the kind wants a file and there is none, or the other way round."""
    if kind.takes_file == "required" and not has_file:
        raise JobError(f"A {kind.name} needs a file: send a form with a part 'file'.")
    if kind.takes_file == "never" and has_file:
        raise JobError(f"A {kind.name} takes no file.")
