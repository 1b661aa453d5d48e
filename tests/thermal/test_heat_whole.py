"""A whole daemon on a sensor that is a file: what stops, what goes on, what resumes.

The daemon runs in this process, on engines in processes of their own, and a client talks to it over
its socket. A step is over when the level is what it should be; whatever gives way has to have done
so by then, since consumers are told within the same step of the supervisor. So nothing here is
measured by the clock, except in the control, where nothing ever happens.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import trio
import trio.testing

from tests.patience import CEILING_S
from tests.realtime.live import Client, connected, make_speech
from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.daemon import App, open_app
from voiced.engines import registry
from voiced.engines.ports import Priority, TextDelta
from voiced.errors import TooHot
from voiced.settings import Llm, Server, Settings, Store, Stt, Thermal, Tts, TurnDetection
from voiced.supervision.hearts import Hearts
from voiced.systemd.notify import Notifier
from voiced.testing.stubs import TRANSCRIPT
from voiced.thermal.heat import Heat, Level
from voiced.thermal.supervisor import open_thermal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from voiced.engines.host import EngineHost
    from voiced.engines.ports import Llm as LlmPort

POLL_S = 0.02


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

    def close(self, words: str) -> None:
        (self.folder / words).unlink()


class Job:
    """Background work as the daemon's own is done: piece by piece at the priority of a job, parked
    between two pieces while it is hot, and begun again where a piece was taken away."""

    def __init__(self, llm: LlmPort, heat: Heat, gate: Gate) -> None:
        self._llm, self._heat, self._gate = llm, heat, gate
        self.pieces = 0
        self.began = 0
        self.refusals: list[TooHot] = []

    async def run(self) -> None:
        while True:
            await self._heat.wait_until(lambda level: level < Level.HOT)
            self.began += 1
            try:
                await ask(self._llm, "piece", Priority.JOB)
            except TooHot as error:
                self.refusals.append(error)
                continue
            self.pieces += 1
            self._gate.close("piece")  # each piece is let through by itself


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
        thermal=Thermal(enabled=enabled, source=str(zone.path), poll_seconds=POLL_S, dwell_s=0.0),
        store=Store(directory=str(folder / "state")),
    )


@pytest.fixture(autouse=True)
def patient_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    own = registry.find_targets()
    target = {"llm.patient": "tests.thermal.patient_engine:PatientLlm"}
    monkeypatch.setattr(registry, "find_targets", lambda _found=None: {**own, **target})


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_speech(tmp_path_factory.mktemp("speech"))


class Scene:
    """A daemon, a client, a job, and what the heat did."""

    def __init__(self, app: App, client: Client, zone: Zone, gate: Gate, patience_s: float) -> None:
        self.app, self.client, self.zone, self.gate = app, client, zone, gate
        self.patience_s = patience_s
        self.levels: list[str] = []
        self.job = Job(app.engines.llm, app.heat, gate)
        app.heat.subscribe(lambda change: self.levels.append(change.after.word))

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
async def scene(folder: Path, *, enabled: bool, patience_s: float) -> AsyncIterator[Scene]:
    zone, gate = Zone(folder), Gate(folder)
    settings = settings_for(folder, zone, gate, enabled=enabled)
    async with open_app(settings, Notifier()) as app, trio.open_nursery() as nursery:
        async with connected(app.status.urls()[0]) as client:
            here = Scene(app, client, zone, gate, patience_s)
            nursery.start_soon(here.job.run)
            yield here
        nursery.cancel_scope.cancel(reason="the test is over")


async def play(here: Scene, spoken: bytes) -> dict[str, Any]:
    """70, 81, 86, 83, 79, 74 and 71, with a job, a speculation and a spoken turn. What happened."""
    facts: dict[str, Any] = {}
    client, job, llm = here.client, here.job, here.llm

    facts["70 reached"] = await here.at(70, Level.NORMAL)
    await here.until(lambda: llm.running == 1)  # the job's first piece
    for start in range(0, len(spoken), size := bytes_for_ms(100, WIRE_HZ)):
        await client.append(spoken[start : start + size])
    await here.silence(0.5)
    # Somebody is silent for a moment: the answer is begun in advance.
    facts["70 speculates"] = await here.until(lambda: llm.running == 2)

    facts["81 reached"] = await here.at(81, Level.HOT)
    facts["81 speculation over"] = llm.running == 1
    here.gate.open("piece")
    facts["81 a piece that runs is finished"] = await here.until(lambda: job.pieces == 1)
    await trio.testing.wait_all_tasks_blocked(0.01)
    facts["81 job parked"] = (job.began, llm.running) == (1, 0)
    await here.silence(10.5)
    created = await client.until("response.created")
    await client.until("response.output_audio.delta")
    # What was asked at a low priority is running as well, as where a job does not park in time.
    asked: list[str | TooHot] = []

    async def ask_low() -> None:
        try:
            asked.append(await ask(here.app.engines.llm, "low", Priority.JOB))
        except TooHot as error:
            asked.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_low)
        await here.until(lambda: llm.running >= 2)

        facts["86 reached"] = await here.at(86, Level.CRITICAL)
        facts["86 low-priority work over"] = [type(one) for one in asked] == [TooHot]
        facts["86 the turn goes on"] = llm.running == 1
        facts["86 refused, with a reason"] = [
            "(86 °C)" in await here.refused(priority)
            for priority in (Priority.SPECULATION, Priority.JOB)
        ]
        here.gate.open(TRANSCRIPT)
        done = (await client.until("response.done"))["response"]
        facts["86 the turn is finished"] = (done["id"], done["status"]) == (
            created["response"]["id"],
            "completed",
        )
        facts["86 another turn is taken"] = await converses(here)

        facts["83 reached"] = await here.at(83, Level.CRITICAL)
        facts["83 refused"] = bool(await here.refused(Priority.JOB))

        facts["79 reached"] = await here.at(79, Level.HOT)
        facts["79 accepted again"] = not await here.refused(Priority.JOB)
        facts["79 job still parked"] = job.began == 1
        nursery.cancel_scope.cancel(reason="nobody waits for that any more")

    facts["74 reached"] = await here.at(74, Level.WARM)
    facts["74 job goes on"] = await here.until(lambda: job.began >= 2)
    here.gate.open("piece")
    facts["74 job finishes a piece"] = await here.until(lambda: job.pieces >= 2)

    facts["71 reached"] = await here.at(71, Level.NORMAL)
    facts["levels"] = here.levels
    # The client has read to the end of its last turn, at 86.
    told = [e["session"]["voiced"]["heat"] for e in client.events if e["type"] == "session.updated"]
    facts["told"] = [one["level"] for one in told]
    return facts


async def converses(here: Scene) -> bool:
    """Whether a turn that begins now is answered."""
    await here.client.add_text(TRANSCRIPT)
    await here.client.send("response.create")
    done = (await here.client.until("response.done"))["response"]
    return bool(done["status"] == "completed")


LEVELS = ["hot", "critical", "hot", "warm", "normal"]


def judge(facts: dict[str, Any]) -> None:
    """Fail where anything did not give way, go on or resume as it should."""
    wrong = {
        fact: found
        for fact, found in facts.items()
        if fact not in {"levels", "told"} and found not in (True, [True, True])
    }
    assert not wrong
    assert facts["levels"] == LEVELS
    assert facts["told"] == LEVELS[: len(facts["told"])]
    assert "critical" in facts["told"]


async def test_everything_but_the_conversation_gives_way(tmp_path: Path, spoken: bytes) -> None:
    with trio.fail_after(CEILING_S):
        async with scene(tmp_path, enabled=True, patience_s=CEILING_S) as here:
            judge(await play(here, spoken))


async def test_with_the_supervisor_off_nothing_does(tmp_path: Path, spoken: bytes) -> None:
    """The control. The conversation is the same; all that heat should change is not."""
    with trio.fail_after(CEILING_S):
        async with scene(tmp_path, enabled=False, patience_s=0.3) as here:
            facts = await play(here, spoken)
    with pytest.raises(AssertionError):
        judge(facts)
    assert facts["levels"] == []
    assert facts["70 speculates"]
    assert facts["86 the turn is finished"]
    for fact in ("81 speculation over", "81 job parked", "86 low-priority work over", "83 refused"):
        assert not facts[fact], fact


# -- sensors that tell nonsense ----------------------------------------------------------------


async def looks(heat: Heat, number: int) -> None:
    """Wait until the supervisor has looked so often again."""
    until = heat.looks + number
    while heat.looks < until:  # noqa: ASYNC110 - the supervisor tells changes, and no looks
        await trio.sleep(POLL_S / 2)


@asynccontextmanager
async def watching(source: str) -> AsyncIterator[Heat]:
    thermal = Thermal(source=source, poll_seconds=POLL_S, dwell_s=0.0)
    with trio.fail_after(CEILING_S):
        async with open_thermal(thermal, Hearts()) as heat:
            yield heat


@pytest.mark.parametrize("threshold", [72, 75, 77, 80, 85])
async def test_noise_of_a_degree_does_not_switch_to_and_fro(threshold: int, tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    changes: list[str] = []
    async with watching(str(zone.path)) as heat:
        zone.set(threshold)
        await looks(heat, 4)
        heat.subscribe(lambda change: changes.append(change.after.word))
        for number in range(16):
            zone.set(threshold + (-1, 1, 0, 1)[number % 4])
            await looks(heat, 1)
    assert len(changes) <= 1


@pytest.mark.parametrize("text", ["", "hot", "-5000", "999999999", "nan", "0"])
async def test_a_sensor_that_tells_nonsense_changes_nothing(text: str, tmp_path: Path) -> None:
    zone = Zone(tmp_path)
    changes: list[str] = []
    async with watching(str(zone.path)) as heat:
        zone.set(81)
        await heat.wait_until(lambda level: level is Level.HOT)
        heat.subscribe(lambda change: changes.append(change.after.word))
        zone.write(text)
        await looks(heat, 4)
        assert heat.celsius == 81
        zone.set(86)
        await heat.wait_until(lambda level: level is Level.CRITICAL)
    assert changes == ["critical"]


async def test_a_sensor_that_is_missing_sheds_nothing(tmp_path: Path) -> None:
    async with watching(str(tmp_path / "absent")) as heat:
        await looks(heat, 4)
        assert (heat.level, heat.celsius) == (Level.UNKNOWN, None)
        Zone(tmp_path).path.rename(tmp_path / "absent")  # plugged in later
        assert await heat.wait_until(lambda level: level > Level.UNKNOWN) is Level.NORMAL


async def test_another_chip_may_be_as_hot_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rp1_adc` of a Raspberry Pi is none of the processor's business."""

    chips = {"rp1_adc": 96.0, "cpu_thermal": 60.0, "rpi_volt": 0.0}
    told = {name: [SimpleNamespace(current=celsius)] for name, celsius in chips.items()}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: told, raising=False)
    async with watching("") as heat:
        await looks(heat, 4)
        assert (heat.level, heat.celsius, heat.source) == (Level.NORMAL, 60.0, "cpu_thermal")
