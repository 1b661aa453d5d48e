"""What a whole daemon is heated with: a sensor that is a file, jobs, and engines with patience."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio
import trio.testing

from tests.realtime.live import Client, connected
from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.daemon import App, open_app
from voiced.engines.ports import Priority, TextDelta
from voiced.errors import TooHot
from voiced.jobs.kind import JobFrame, JobRequest
from voiced.settings import Jobs, Llm, Server, Settings, Store, Stt, Thermal, Tts, TurnDetection
from voiced.systemd.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from voiced.engines.host import EngineHost
    from voiced.engines.ports import Llm as LlmPort
    from voiced.jobs.desk import Desk
    from voiced.jobs.kind import TakesFile, Work
    from voiced.thermal.heat import Level

POLL_S = 0.02
PIECES = 3


class Zone:
    """The file of a sensor. It is replaced whole, as the kernel's never is half written."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "temp"
        self._next = folder / "next"
        self.set(70)

    def set(self, celsius: float) -> None:
        self.write(f"{celsius * 1000:.0f}\n")

    def write(self, text: str) -> None:
        self._next.write_text(text)
        self._next.rename(self.path)


class Gate:
    """Lets the patient model end what was asked of it in these words."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "gate"
        self.folder.mkdir()

    def open(self, words: str) -> None:
        (self.folder / words).touch()


class PiecesRequest(JobRequest, frozen=True, kw_only=True, tag_field="type", tag="pieces"):
    """`name` begins the words of each piece."""

    name: str


class PiecesKind:
    """A job of three pieces, done and committed one by one, as the daemon's own kinds do theirs."""

    name = "pieces"
    request_type = PiecesRequest
    takes_file: TakesFile = "never"

    def __init__(self) -> None:
        self.llm: LlmPort | None = None
        self.desk: Desk | None = None

    def check(self, request: PiecesRequest, *, has_file: bool) -> PiecesRequest:
        return request

    async def run(self, work: Work) -> None:
        assert self.llm is not None
        done = int(work.checkpoint or b"0")
        while done < PIECES:
            await work.pause_point()
            words = f"{work.request.name} {done + 1}"
            await ask(self.llm, words, Priority.JOB)
            done += 1
            await work.commit(str(done).encode(), [JobFrame(text=words)])


async def ask(llm: LlmPort, words: str, priority: Priority) -> str:
    message = {"role": "user", "content": words}
    async with llm.reply([message], priority=priority) as parts:
        return "".join([part.text async for part in parts if isinstance(part, TextDelta)])


def settings_for(folder: Path, zone: Zone, gate: Gate, *, enabled: bool) -> Settings:
    return Settings(
        server=Server(port=0),
        stt=Stt(engine="stub"),
        llm=Llm(engine="patient", fast_path=False, options={"gate": str(gate.folder)}),
        tts=Tts(engine="stub", audio_s=0.2),
        turn_detection=TurnDetection(
            silence_duration_ms=10_000, speculate_ms=100, speculate_answer=True
        ),
        jobs=Jobs(concurrent=2),
        thermal=Thermal(enabled=enabled, source=str(zone.path), poll_seconds=POLL_S, dwell_s=0.0),
        store=Store(directory=str(folder / "state")),
    )


class Scene:
    """A daemon, a client, two jobs, and what the heat did."""

    def __init__(
        self, app: App, client: Client, zone: Zone, gate: Gate, desk: Desk, patience_s: float
    ) -> None:
        self.app, self.client, self.zone, self.gate = app, client, zone, gate
        self.desk = desk
        self.patience_s = patience_s
        self.levels: list[str] = []
        app.heat.subscribe(lambda change: self.levels.append(change.after.word))

    async def begin_job(self, name: str) -> str:
        """Its id, once it is running."""
        async with self.desk.draft() as draft:
            await draft.submit(PiecesRequest(name=name))
        await self.until_job(draft.job_id, "running")
        return draft.job_id

    async def job(self, job_id: str) -> tuple[str, list[str]]:
        """Its status, and the pieces that are done."""
        found = await self.desk.ledger.get_with_frames(job_id)
        assert found is not None
        return found[0].status, [frame.text for frame in found[1]]

    async def until_job(self, job_id: str, *statuses: str) -> bool:
        while (await self.job(job_id))[0] not in statuses:  # noqa: ASYNC110 - see `until`
            await trio.sleep(POLL_S)
        return True

    @property
    def llm(self) -> EngineHost:
        host = self.app.engines.lineups[1].host
        assert host is not None
        return host

    async def at(self, celsius: float, level: Level) -> bool:
        """The sensor tells this; whether the level follows while anybody has patience."""
        self.zone.set(celsius)
        with trio.move_on_after(self.patience_s):
            await self.app.heat.wait_until(lambda now: now is level)
            # What a subscriber cancelled is over; what waits for a level has to be run once.
            await trio.testing.wait_all_tasks_blocked(0.01)
            return True
        return False

    async def until(self, holds: Callable[[], bool]) -> bool:
        """Wait until that holds, as it does whether it is hot or not. True, for the facts."""
        while not holds():  # noqa: ASYNC110 - of what happens in engines nobody tells
            await trio.sleep(POLL_S)
        return True

    async def within(self, waiting: Awaitable[bool]) -> bool:
        """Whether that comes to be while anybody has patience."""
        with trio.move_on_after(self.patience_s):
            return await waiting
        return False

    async def refused(self, priority: Priority) -> str:
        """What somebody is told who asks for that now; "" where nobody refuses it."""
        try:
            with trio.move_on_after(0):
                await ask(self.app.engines.llm, "never", priority)
        except TooHot as error:
            return str(error)
        return ""

    async def silence(self, seconds: float) -> None:
        await self.client.append(bytes(bytes_for_ms(seconds * 1000, WIRE_HZ)))


@asynccontextmanager
async def scene(
    folder: Path, kind: PiecesKind, *, enabled: bool, patience_s: float
) -> AsyncIterator[Scene]:
    zone, gate = Zone(folder), Gate(folder)
    settings = settings_for(folder, zone, gate, enabled=enabled)
    async with open_app(settings, Notifier()) as app:
        kind.llm = app.engines.llm
        async with connected(app.status.urls()[0]) as client:
            assert kind.desk is not None
            here = Scene(app, client, zone, gate, kind.desk, patience_s)
            await here.until(lambda: here.desk.ready)
            yield here
