"""Whoever subscribes or waits hears of a change, in order, and of nothing else."""

from __future__ import annotations

import pytest
import structlog
import trio
import trio.testing

from voiced.thermal.heat import Heat, HeatChange, Level


def test_nothing_told_is_unknown_and_below_everything() -> None:
    heat = Heat()
    assert heat.level is Level.UNKNOWN
    assert heat.level < Level.NORMAL < Level.WARM < Level.HOT < Level.CRITICAL
    assert (heat.celsius, heat.source, heat.reasons) == (None, "", ())
    assert [level.word for level in Level] == ["unknown", "normal", "warm", "hot", "critical"]


def test_subscribers_are_told_of_changes_only_and_see_the_new_level() -> None:
    heat = Heat()
    told: list[tuple[str, HeatChange, Level]] = []
    heat.subscribe(lambda change: told.append(("first", change, heat.level)))
    heat.subscribe(lambda change: told.append(("second", change, heat.level)))
    heat.tell(Level.NORMAL, 60.0, "zone", ())
    heat.tell(Level.NORMAL, 61.0, "zone", ())
    assert heat.celsius == 61.0
    heat.tell(Level.CRITICAL, 86.0, "zone", ("86 °C", "throttled"))
    assert told == [
        (who, HeatChange(before, after, celsius, reason), after)
        for before, after, celsius, reason in [
            (Level.UNKNOWN, Level.NORMAL, 60.0, ""),
            (Level.NORMAL, Level.CRITICAL, 86.0, "86 °C"),
        ]
        for who in ("first", "second")
    ]


def test_a_subscriber_that_raises_is_logged_and_stops_nobody() -> None:
    heat = Heat()
    told: list[Level] = []

    def broken(_change: HeatChange) -> None:
        raise RuntimeError("no")

    heat.subscribe(broken)
    heat.subscribe(lambda change: told.append(change.after))
    with structlog.testing.capture_logs() as logged:
        heat.tell(Level.HOT, 81.0, "zone", ("81 °C",))
    assert told == [Level.HOT]
    assert [line["event"] for line in logged] == ["could not follow the heat"]


async def test_tasks_wait_for_a_level(nursery: trio.Nursery) -> None:
    heat = Heat()
    came: list[Level] = []

    async def wait_for(least: Level) -> None:
        came.append(await heat.wait_until(lambda level: level >= least))

    nursery.start_soon(wait_for, Level.UNKNOWN)
    nursery.start_soon(wait_for, Level.HOT)
    await trio.testing.wait_all_tasks_blocked()
    assert came == [Level.UNKNOWN]
    heat.tell(Level.WARM, 76.0, "zone", ("76 °C",))
    await trio.testing.wait_all_tasks_blocked()
    assert came == [Level.UNKNOWN]
    heat.tell(Level.CRITICAL, 86.0, "zone", ("86 °C",))
    await trio.testing.wait_all_tasks_blocked()
    assert came == [Level.UNKNOWN, Level.CRITICAL]


async def test_a_wait_can_be_left() -> None:
    heat = Heat()
    with trio.move_on_after(0) as scope:
        await heat.wait_until(lambda level: level is Level.NORMAL)
    assert scope.cancelled_caught


@pytest.mark.parametrize("level", list(Level))
async def test_a_level_that_holds_is_not_waited_for(level: Level) -> None:
    heat = Heat()
    heat.tell(level, None, "", ())
    assert await heat.wait_until(lambda now: now is level) is level
