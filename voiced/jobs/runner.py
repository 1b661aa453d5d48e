"""Runs jobs, one after another, for as long as it is cool enough.

A job that was broken off goes on from its checkpoint: at once where the daemon was started again,
when it has cooled down where heat was the cause, and after a while, which grows, where an engine
broke down. One that gets no further in `jobs.tries` runs is given up.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import structlog
import trio

from voiced.engines.owner import request_owner
from voiced.errors import StoreError
from voiced.jobs.faults import judge, wait_s
from voiced.jobs.records import Note
from voiced.jobs.run import Run
from voiced.jobs.states import WrongState
from voiced.thermal.heat import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.jobs.kind import JobKind
    from voiced.jobs.ledger import Ledger
    from voiced.jobs.records import Job
    from voiced.jobs.shelf import Shelf
    from voiced.jobs.states import Event
    from voiced.settings import Jobs as JobsSettings
    from voiced.thermal.heat import Heat, HeatChange

log = structlog.get_logger(__name__)

PARK_S: Final = 2.0
"""A daemon that stops waits so long for a run to end, and again for its job to be marked."""

STORE_RETRY_S: Final = 5.0
"""A database that cannot be used is tried again so often."""

GIVEN_UP: Final = "The server tried this job {} times without getting any further."


class Runner:
    """The task that runs jobs; `wake` it when there is one more."""

    def __init__(
        self,
        settings: JobsSettings,
        kinds: Mapping[str, JobKind],
        ledger: Ledger,
        shelf: Shelf,
        heat: Heat,
    ) -> None:
        self._settings = settings
        self._kinds = kinds
        self._ledger = ledger
        self._shelf = shelf
        self._heat = heat
        self._limiter = trio.CapacityLimiter(2)  # of its own: a card may take seconds for a file
        self._runs: dict[str, Run] = {}
        self._not_before: dict[str, float] = {}
        self._changed = trio.Event()
        self.recovered = False
        """Whether the files that belong to no job are gone, so that there may be new ones."""
        heat.subscribe(self._follow_heat)

    def wake(self) -> None:
        """Something has changed that a run may wait for. Never waits."""
        self._changed.set()
        self._changed = trio.Event()

    def run_of(self, job_id: str) -> Run | None:
        """The run of a job, where there is one."""
        return self._runs.get(job_id)

    async def serve(self) -> None:
        """Recover what the last daemon left, then run jobs, until cancelled: that parks them."""
        await self._recover()
        async with trio.open_nursery() as nursery:
            while True:
                changed = self._changed
                job = await self._choose()
                if job is None:
                    with trio.move_on_at(self._next_look()):
                        await changed.wait()
                    continue
                run = self._make_run(job)
                self._runs[job.job_id] = run  # from here on it is cancelled through its run
                began = False
                try:
                    began = await self._begin(run)
                finally:
                    if not began:  # its place is free again, whatever happened
                        self._drop(run)
                if not began:
                    continue
                if self._places() == 0:  # it has become hot just now
                    run.stop("heat")
                nursery.start_soon(self._carry_out, run)

    def _drop(self, run: Run) -> None:
        del self._runs[run.job_id]
        run.over.set()
        self.wake()

    # -- what to run

    async def _recover(self) -> None:
        while True:
            try:
                kept = await self._ledger.recover()
                break
            except StoreError:
                await trio.sleep(STORE_RETRY_S)
        if not self.recovered:  # not after a fault of ours: others hand in files by now
            await trio.to_thread.run_sync(self._shelf.sweep, kept, limiter=self._limiter)
        self.recovered = True

    async def _choose(self) -> Job | None:
        now = trio.current_time()
        self._not_before = {id_: at for id_, at in self._not_before.items() if at > now}
        if len(self._runs) >= self._places():
            return None
        try:
            return await self._ledger.next([*self._runs, *self._not_before])
        except StoreError:
            self._not_before[""] = now + STORE_RETRY_S  # the next look
            return None

    def _places(self) -> int:
        if self._heat.level >= Level.HOT:
            return 0
        return 1 if self._heat.level >= Level.WARM else self._settings.concurrent

    def _next_look(self) -> float:
        return min(self._not_before.values(), default=float("inf"))

    def _make_run(self, job: Job) -> Run:
        return Run(
            job,
            ledger=self._ledger,
            shelf=self._shelf,
            limiter=self._limiter,
            most_bytes=round(self._settings.disk_mb * 1e6),
            pause=self._pause,
        )

    async def _begin(self, run: Run) -> bool:
        """Mark it as begun first, so that a job which ends the daemon is not tried for ever."""
        job = run.job
        try:
            if job.tries >= self._settings.tries:
                note = Note("gave_up", GIVEN_UP.format(job.tries))
                log.warning("job given up", job_id=job.job_id, kind=job.kind, tries=job.tries)
                await self._write_end(run, "fail", error=note)
                return False
            began = job.started_at or self._ledger.now
            values = {"tries": job.tries + 1, "started_at": began, **run.facts()}
            await self._ledger.change(job.job_id, "begin", **values)
        except WrongState:  # cancelled just now
            return False
        except StoreError:
            self._not_before[job.job_id] = trio.current_time() + STORE_RETRY_S
            return False
        return True

    # -- a run

    async def _carry_out(self, run: Run) -> None:
        """Run the kind, and lead its job to the state that follows from how that ended."""
        try:
            fault = await self._run_kind(run)
            await self._settle(run, fault)
        except Exception:
            log.exception("job could not be settled", job_id=run.job_id)
        finally:
            self._drop(run)

    async def _run_kind(self, run: Run) -> Exception | None:
        log.info("job begins", job_id=run.job_id, kind=run.job.kind, tries=run.job.tries + 1)
        request_owner.set(run.job_id)
        try:
            with run.scope:
                kind = self._kinds[run.job.kind]
                run.request = msgspec.json.decode(run.job.request, type=kind.request_type)
                await kind.run(run)
        except Exception as exc:
            return exc
        except BaseException:  # the daemon stops
            with trio.move_on_after(PARK_S, shield=True), suppress(StoreError, WrongState):
                await self._ledger.change(run.job_id, "park", **self._as_before(run))
            log.info("job parked", job_id=run.job_id, reason="the daemon stops")
            raise
        return None

    async def _settle(self, run: Run, fault: Exception | None) -> None:
        cut = run.scope.cancelled_caught or fault is not None
        if run.why == "cancel" and cut:
            await self._write_end(run, "cancel", **run.facts())
        elif run.why == "heat" and cut:
            log.info("job put back", job_id=run.job_id, reason="heat")
            await self._write(run, "requeue", **self._as_before(run))
        elif fault is None:
            await self._write_end(run, "complete", progress=100.0, **run.facts())
        else:
            await self._settle_fault(run, fault)

    async def _settle_fault(self, run: Run, fault: Exception) -> None:
        verdict = judge(fault)
        if verdict.gave_way:
            log.info("job gives way", job_id=run.job_id, reason=str(fault))
            self._not_before[run.job_id] = trio.current_time() + wait_s(1)
            await self._write(run, "requeue", **self._as_before(run))
            return
        tell = log.error if verdict.bug else log.warning
        tell(
            "job failed" if not verdict.again else "job is tried again later",
            job_id=run.job_id,
            code=verdict.note.code,
            cause=None if verdict.bug else str(fault),
            exc_info=fault if verdict.bug else None,
        )
        if not verdict.again:
            await self._write_end(run, "fail", error=verdict.note, **run.facts())
            return
        tries = 1 if run.committed else run.job.tries + 1
        run.warn(verdict.note.code, verdict.note.message)
        self._not_before[run.job_id] = trio.current_time() + wait_s(tries)
        await self._write(run, "requeue", tries=tries, **run.facts())

    async def _write_end(self, run: Run, event: Event, **values: Any) -> None:  # noqa: ANN401
        """The job is over: say so, then remove what nobody needs any more, in that order, since a
        job that has lost its input could not go on."""
        keep = run.result_name if event == "complete" else None
        values["finished_at"] = self._ledger.now
        size = await trio.to_thread.run_sync(
            self._shelf.size, run.job_id, keep, limiter=self._limiter
        )
        await self._write(run, event, disk_bytes=size, **values)
        log.info("job is over", job_id=run.job_id, kind=run.job.kind, how=event)
        await trio.to_thread.run_sync(self._shelf.tidy, run.job_id, keep, limiter=self._limiter)

    async def _write(self, run: Run, event: Event, **values: Any) -> None:  # noqa: ANN401
        """Until it is written: what is not would be done again."""
        while True:
            try:
                await self._ledger.change(run.job_id, event, **values)
                return
            except StoreError:
                await trio.sleep(STORE_RETRY_S)

    def _as_before(self, run: Run) -> dict[str, Any]:
        """Columns of a job whose run was broken off through no fault of its own."""
        return {"tries": 0 if run.committed else run.job.tries, **run.facts()}

    # -- heat

    def _follow_heat(self, change: HeatChange) -> None:
        if change.after >= Level.CRITICAL:
            for run in self._runs.values():
                run.stop("heat")
        self.wake()

    def _may_go_on(self, run: Run) -> bool:
        return run in list(self._runs.values())[: self._places()]

    async def _pause(self, run: Run) -> None:
        await trio.lowlevel.checkpoint()
        if self._may_go_on(run):
            return
        log.info("job parked", job_id=run.job_id, reason="heat")
        await self._ledger.change(run.job_id, "park", **run.facts())
        while not self._may_go_on(run):
            await self._changed.wait()
        log.info("job goes on", job_id=run.job_id)
        await self._ledger.change(run.job_id, "resume")
