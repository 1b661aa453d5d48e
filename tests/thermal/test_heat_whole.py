"""A whole daemon on a sensor that is a file: what stops, what goes on, what resumes.

The daemon runs in this process, on engines in processes of their own, and a client talks to it over
its socket. A step is over when the level is what it should be; whatever gives way has to have done
so by then, since consumers are told within the same step of the supervisor. So nothing here is
measured by the clock, except in the control, where nothing ever happens.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.patience import CEILING_S
from tests.realtime.live import make_speech
from tests.thermal.heat_scene import (
    PIECES,
    PiecesKind,
    Scene,
    scene,
)
from voiced.audio.pcm import WIRE_HZ, bytes_for_ms
from voiced.engines import registry
from voiced.engines.ports import Priority
from voiced.jobs.service import open_jobs
from voiced.testing.stubs import TRANSCRIPT
from voiced.thermal.heat import Level

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voiced.jobs.desk import Desk


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> PiecesKind:
    """A kind of jobs that the daemon then knows, and an engine."""
    kind = PiecesKind()
    real = open_jobs

    @asynccontextmanager
    async def open_mine(*args: Any) -> AsyncIterator[Desk]:  # noqa: ANN401 - those of the real one
        settings, state, database, kinds, *rest = args
        async with real(settings, state, database, (*kinds, kind), *rest) as kind.desk:
            yield kind.desk

    monkeypatch.setattr("voiced.daemon.open_jobs", open_mine)
    own = registry.find_targets()
    target = {"llm.patient": "tests.thermal.patient_engine:PatientLlm"}
    monkeypatch.setattr(registry, "find_targets", lambda _found=None: {**own, **target})
    return kind


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_speech(tmp_path_factory.mktemp("speech"))


async def play(here: Scene, spoken: bytes) -> dict[str, Any]:
    """70, 81, 86, 83, 79, 74 and 71, with two jobs, a speculation and a spoken turn: the facts."""
    facts: dict[str, Any] = {}
    client, llm = here.client, here.llm

    facts["70 reached"] = await here.at(70, Level.NORMAL)
    one, two = await here.begin_job("one"), await here.begin_job("two")
    await here.until(lambda: llm.running == 2)
    for start in range(0, len(spoken), size := bytes_for_ms(100, WIRE_HZ)):
        await client.append(spoken[start : start + size])
    await here.silence(0.5)
    # Somebody is silent for a moment: the answer is begun in advance.
    facts["70 speculates"] = await here.until(lambda: llm.running == 3)

    facts["81 reached"] = await here.at(81, Level.HOT)
    facts["81 speculation over"] = llm.running == 2
    here.gate.open("one 1")
    facts["81 a piece is finished, and its job parked"] = await here.within(
        here.until_job(one, "parked")
    ) and (await here.job(one))[1] == ["one 1"]
    facts["81 a piece that runs goes on"] = (await here.job(two))[0] == "running"
    await here.silence(10.5)
    created = await client.until("response.created")
    await client.until("response.output_audio.delta")

    running = llm.running
    facts["86 reached"] = await here.at(86, Level.CRITICAL)
    facts["86 what runs of jobs is over, the turn is not"] = (running, llm.running) == (2, 1)
    facts["86 jobs are put back"] = await here.within(
        here.until_job(one, "queued")
    ) and await here.within(here.until_job(two, "queued"))
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
    facts["79 jobs still wait"] = {(await here.job(id_))[0] for id_ in (one, two)} == {"queued"}

    facts["74 reached"] = await here.at(74, Level.WARM)
    first = await here.within(here.until_job(one, "running"))
    facts["74 one job goes on"] = first and (await here.job(two))[0] == "queued"

    facts["71 reached"] = await here.at(71, Level.NORMAL)
    facts["71 both go on"] = await here.within(here.until_job(two, "running"))
    for name in ("one", "two"):
        for piece in range(1, PIECES + 1):
            here.gate.open(f"{name} {piece}")
    for name, job_id in (("one", one), ("two", two)):
        await here.until_job(job_id, "completed")
        pieces = [f"{name} {piece}" for piece in range(1, PIECES + 1)]
        facts[f"job {name} did each piece once"] = (await here.job(job_id))[1] == pieces
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


async def test_everything_but_the_conversation_gives_way(
    tmp_path: Path, kind: PiecesKind, spoken: bytes
) -> None:
    with trio.fail_after(CEILING_S):
        async with scene(tmp_path, kind, enabled=True, patience_s=CEILING_S) as here:
            judge(await play(here, spoken))


async def test_with_the_supervisor_off_nothing_does(
    tmp_path: Path, kind: PiecesKind, spoken: bytes
) -> None:
    """The control. The conversation is the same; all that heat should change is not."""
    with trio.fail_after(CEILING_S):
        async with scene(tmp_path, kind, enabled=False, patience_s=0.3) as here:
            facts = await play(here, spoken)
    with pytest.raises(AssertionError):
        judge(facts)
    assert facts["levels"] == []
    assert facts["70 speculates"]
    assert facts["86 the turn is finished"]
    for fact in (
        "81 speculation over",
        "81 a piece is finished, and its job parked",
        "86 what runs of jobs is over, the turn is not",
        "83 refused",
        "79 jobs still wait",
    ):
        assert not facts[fact], fact
