"""Those who watch the daemon, and systemd, are told of heat in words."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing

from voiced.settings import Settings
from voiced.status import Status, report_status
from voiced.supervision.hearts import Hearts
from voiced.supervision.lag import LagMeter
from voiced.telemetry.insights import Insights
from voiced.telling import heat_status, tell_of_heat
from voiced.thermal.heat import Heat, Level

if TYPE_CHECKING:
    from trio.testing import MockClock


def tell(heat: Heat, level: Level, celsius: float) -> None:
    heat.tell(level, celsius, "zone", (f"the processor is at {celsius:.0f} °C",))


async def test_observers_get_a_status_for_each_change_and_warnings_for_what_is_noticed() -> None:
    heat, insights = Heat(), Insights()
    tell_of_heat(insights, heat)
    with insights.watch() as observer:
        for level, celsius in [
            (Level.NORMAL, 60.0),
            (Level.WARM, 76.0),
            (Level.HOT, 81.0),
            (Level.CRITICAL, 86.0),
            (Level.WARM, 74.0),
        ]:
            tell(heat, level, celsius)
        insights.say_goodbye()
        told = []
        while (text := await observer.get()) is not None:
            told.append(json.loads(text))
    states = [t["payload"]["state"] for t in told if t["type"] == "plugin_status"]
    assert states[0] == "unknown"
    assert states[-1] == "warm"
    warnings = [t["payload"]["message"] for t in told if t["type"] == "warning"]
    assert ["hot (81" in words for words in warnings] == [True, False, False]
    assert "too hot (86 °C): only conversation goes on" in warnings[1]
    assert "warm (74 °C)" in warnings[2]


@pytest.mark.parametrize("level", list(Level))
def test_who_comes_later_learns_how_it_is(level: Level) -> None:
    heat = Heat()
    heat.tell(level, 60.0, "/sys/class/" + "x" * 300, ())
    status = heat_status(heat)
    assert (status.kind, status.state) == ("thermal", level.word)
    assert (status.reason is None) is (level is Level.NORMAL)


class Told:
    """What systemd is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def status(self, line: str) -> None:
        self.lines.append(line)


async def test_the_status_line_says_it_at_once(autojump_clock: MockClock) -> None:
    heat = Heat()
    hub = SimpleNamespace(count=2)
    status = Status(Settings(), (), cast("Any", hub), LagMeter(), Hearts(), heat)
    told = Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report_status, cast("Any", told), status)
        for level, celsius in [(Level.NORMAL, 60.0), (Level.HOT, 81.0), (Level.NORMAL, 70.0)]:
            await trio.testing.wait_all_tasks_blocked()
            tell(heat, level, celsius)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert told.lines == ["2 sessions; ", "hot at 81 °C; 2 sessions; ", "2 sessions; "]


async def test_a_task_that_waits_is_told_before_the_step_ends() -> None:
    heat = Heat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heat.wait_until, lambda level: level is Level.HOT)
        tell(heat, Level.HOT, 81.0)
