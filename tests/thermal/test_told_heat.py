"""Those who watch the daemon, and systemd, are told of heat in words."""

from __future__ import annotations

import json

import pytest
import trio

from voiced.telemetry.insights import Insights
from voiced.telling import heat_status, tell_of_heat
from voiced.thermal.heat import Heat, Level


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


async def test_a_task_that_waits_is_told_before_the_step_ends() -> None:
    heat = Heat()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heat.wait_until, lambda level: level is Level.HOT)
        tell(heat, Level.HOT, 81.0)
