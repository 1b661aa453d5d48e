"""Jobs that count, on a database of their own: small, and stopped wherever a test likes."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import trio
from msgspec import Meta

from tests.patience import CEILING_S
from voiced.errors import EngineCrashed, EnginePreempted
from voiced.jobs.desk import Desk
from voiced.jobs.kind import INPUT_NAME, JobError, JobFrame, JobRequest, TakesFile, Work
from voiced.jobs.service import open_jobs
from voiced.settings import Jobs
from voiced.store.database import open_database
from voiced.telemetry.insights import Insights
from voiced.thermal.heat import Heat, Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from voiced.jobs.records import Job
    from voiced.jobs.states import Status


class CountRequest(JobRequest, frozen=True, kw_only=True, tag_field="type", tag="count"):
    """Count up to `to`."""

    to: Annotated[int, Meta(ge=0, le=10_000)] = 3
    wrong: str = ""
    """How it goes wrong, on the second number."""


class Count:
    """The kind: a frame for each number. `gate` lets it pass so many numbers in all."""

    name = "count"
    request_type = CountRequest
    takes_file: TakesFile = "optional"

    def __init__(self, passes: float = float("inf")) -> None:
        self.passes = passes
        self.faults = 0
        self.runs = 0
        self.held = trio.Event()
        self._moved = trio.Event()

    def let_pass(self, count: float = 1) -> None:
        self.passes += count
        self._moved.set()
        self._moved = trio.Event()

    def check(self, request: CountRequest, *, has_file: bool) -> CountRequest:
        if request.to == 13:
            raise JobError("That number is not counted to.")
        return request

    async def run(self, work: Work) -> None:
        self.runs += 1
        begin = int(work.checkpoint) if work.checkpoint else 0
        for number in range(begin, work.request.to):
            await work.pause_point()
            await self._gate()
            if number == 1:
                self._go_wrong(work)
            work.timing("counter", 0.5)
            progress = 100 * (number + 1) / work.request.to
            await work.commit(b"%d" % (number + 1), [JobFrame(text=str(number))], progress)
        text = " ".join(frame.text for frame in await work.frames())
        await trio.Path(work.directory / "counted.txt").write_text(text)
        await work.publish("counted.txt", "text/plain")

    async def _gate(self) -> None:
        while self.passes < 1:
            self.held.set()
            await self._moved.wait()
        self.passes -= 1

    def _go_wrong(self, work: Work) -> None:
        match work.request.wrong:
            case "engine" if self.faults:
                self.faults -= 1
                raise EngineCrashed("the engine crashed")
            case "way" if self.faults:
                self.faults -= 1
                raise EnginePreempted("the engine was needed for a conversation")
            case "always":
                raise EngineCrashed("the engine crashed")
            case "bug":
                raise LookupError("a bug")
            case "disk":
                raise OSError(28, "No space left on device")
            case "warn":
                work.warn("odd", "One is odd.")
                work.used("cuda", fallback=True)


class Bench(msgspec.Struct, frozen=True):
    """The jobs of a daemon, and what they hang on."""

    desk: Desk
    kind: Count
    heat: Heat
    insights: Insights

    async def hand_in(self, *, content: bytes | None = None, **fields: Any) -> str:  # noqa: ANN401
        async with self.desk.draft() as draft:
            if content is not None:
                draft.has_file = True
                draft.grow(len(content))
                await trio.Path(draft.input).write_bytes(content)
            return (await draft.submit(CountRequest(**fields))).job_id

    async def job(self, job_id: str) -> Job:
        job = await self.desk.ledger.get(job_id)
        assert job is not None
        return job

    async def texts(self, job_id: str) -> list[str]:
        found = await self.desk.ledger.get_with_frames(job_id)
        assert found is not None
        return [frame.text for frame in found[1]]

    async def until(self, job_id: str, *statuses: Status) -> Job:
        """The job once it is in one of these states, or over."""
        return await self.find(job_id, lambda job: job.status in statuses or job.over)

    async def find(self, job_id: str, is_so: Callable[[Job], bool]) -> Job:
        while not is_so(job := await self.job(job_id)):  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
        return job

    def grow(self, level: Level) -> None:
        self.heat.tell(level, 70.0, "test", (f"it is {level.word}",))


@asynccontextmanager
async def bench(
    state: Path,
    kind: Count | None = None,
    *,
    ready: bool = True,
    **settings: Any,  # noqa: ANN401 - of several types
) -> AsyncIterator[Bench]:
    """A daemon's jobs, ready to take some, under the ceiling."""
    kind = kind or Count()
    heat, insights = Heat(), Insights()
    with trio.fail_after(CEILING_S):
        async with (
            open_database(state) as database,
            open_jobs(Jobs(**settings), state, database, [kind], heat, insights) as desk,
        ):
            while ready and not desk.ready:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.01)
            yield Bench(desk, kind, heat, insights)


def input_of(state: Path, job_id: str) -> Path:
    return state / "jobs" / job_id / INPUT_NAME
