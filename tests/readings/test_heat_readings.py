"""What the metrics tell of heat, and of the work that gave way to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
import trio

from tests.engines.host_helpers import running_host, spec_for
from tests.realtime.fakes import FakeLlm, FakeStt, FakeToolbox, says, silence, talking
from tests.realtime.test_heat_in_sessions import NOON, at, begin_to_speak, foreseeing
from voiced.engines.heat import follow_heat
from voiced.engines.lineup import Lineup
from voiced.engines.ports import Priority
from voiced.errors import TooHot
from voiced.inspector import Inspector
from voiced.jobs.ledger import Ledger
from voiced.readings.heat import HeatHistory, read_heat
from voiced.telemetry.insights import Insights
from voiced.thermal.heat import Heat
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from trio.testing import MockClock

    from voiced.engines.host import EngineHost
    from voiced.realtime.hub import SessionHub
    from voiced.store.database import Database
    from voiced.tools.toolbox import Toolbox


def inspector_of(host: EngineHost | None = None) -> Inspector:
    lineup = Lineup(kind="llm", host=host)
    return Inspector((lineup,), None, cast("Toolbox", FakeToolbox()))


def read(heat: Heat, history: HeatHistory, hub: SessionHub) -> dict[str, dict[str, float]]:
    """The values of each metric by that of its one label."""
    no_jobs = Ledger(cast("Database", None), Insights())
    metrics = read_heat(heat, history, hub, inspector_of(), no_jobs)
    return {
        metric.name.removeprefix("voiced_"): {
            "".join(sample.labels.values()): sample.value for sample in metric.samples
        }
        for metric in metrics
    }


async def test_the_level_and_the_time_at_each(autojump_clock: MockClock) -> None:
    heat = Heat()
    async with talking() as talk:
        history = HeatHistory(heat)
        found = read(heat, history, talk.hub)
        assert found["temperature_celsius"] == {}
        assert found["heat_level"] == {"": 0}
        assert set(found["shedding"].values()) == {0}
        await trio.sleep(3)
        at(heat, Level.NORMAL)
        await trio.sleep(5)
        at(heat, Level.HOT)
        at(heat, Level.HOT)
        await trio.sleep(2)
        found = read(heat, history, talk.hub)
    assert found["temperature_celsius"] == {"zone": 81.0}
    assert found["heat_level"] == {"": 3}
    assert found["heat_level_seconds"] == {
        "unknown": pytest.approx(3),
        "normal": pytest.approx(5),
        "warm": 0,
        "hot": pytest.approx(2),
        "critical": 0,
    }
    assert found["heat_changes"] == {"unknown": 0, "normal": 1, "warm": 0, "hot": 1, "critical": 0}
    assert found["shedding"] == {"speculation": 1, "reply": 1, "job": 1, "request": 0}


async def test_guesses_that_were_not_made_and_replies_that_were_kept_short(
    autojump_clock: MockClock,
) -> None:
    heat = Heat()
    at(heat, Level.HOT)
    history = HeatHistory(heat)
    stt, llm = FakeStt(NOON, partials=[NOON]), FakeLlm(says("It is noon."))
    async with talking(stt=stt, llm=llm, settings=foreseeing(), heat=heat) as talk:
        hub = talk.hub
        await begin_to_speak(talk)
        await talk.hear(silence(100))
        shed = read(heat, history, hub)["shed"]
        assert (shed["speculation"], shed["reply"]) == (1, 0)  # once for the one silence
        await talk.hear(silence(2000))
        await talk.until("response.done")
        talk.configure(output_modalities=["audio"])
        talk.type_in("and now?")
        await talk.until("response.done")
        await talk.rest()
        assert read(heat, history, hub)["shed"]["reply"] == 1  # the one that was spoken
    assert read(heat, history, hub)["shed"]["speculation"] == 1  # after the session too


async def test_requests_that_were_cancelled_or_refused_are_counted_and_are_no_warnings() -> None:
    heat = Heat()
    async with running_host(spec_for("Obliging")) as host:
        follow_heat(heat, [host])
        async with host.request("listen", {}, Priority.JOB) as call:
            at(heat, Level.CRITICAL)
            with pytest.raises(TooHot):
                await call.result()
        with pytest.raises(TooHot):
            host.submit("echo", {}, Priority.JOB)
        assert inspector_of(host).failures(TooHot.code) == 2
        assert not host.warnings
