"""A blocked loop shows in the meter, and the log names who blocked it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
import trio
from structlog.testing import capture_logs
from trio.testing import wait_all_tasks_blocked

from tests.patience import CEILING_S
from voiced.supervision.lag import BAD_MS, LASTING, Alarm, Lag, LagMeter

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock


async def test_an_idle_loop_is_not_late(autojump_clock: MockClock) -> None:
    meter = LagMeter()
    assert meter.read() == Lag(0.0, 0.0, 0.0, 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(meter.serve)
        await trio.sleep(1.01)
        assert meter.read() == Lag(0.0, 0.0, 0.0, 20)
        nursery.cancel_scope.cancel()


async def test_the_window_is_bounded(autojump_clock: MockClock) -> None:
    meter = LagMeter(window=10)
    async with trio.open_nursery() as nursery:
        await nursery.start(meter.serve)
        await trio.sleep(5.0)
        nursery.cancel_scope.cancel()
    assert meter.read().samples == 10
    meter.reset()
    assert meter.read().samples == 0


async def _hog() -> None:
    time.sleep(0.2)  # noqa: ASYNC251 - blocking the loop is what this test is about


async def test_whoever_blocks_the_loop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiced.supervision.lag.WARN_EVERY_S", (0.0, 0.0))  # it may stall too
    monkeypatch.setattr("voiced.supervision.lag.BAD_MS", 100.0)
    meter = LagMeter(warn_ms=100.0, period_s=0.01)
    named: list[dict[str, Any]] = []
    with capture_logs() as logs, trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(meter.serve)
            while not named:
                nursery.start_soon(_hog)
                await trio.sleep(0.02)
                named = [entry for entry in _late(logs) if "_hog" in entry["task"]]
            nursery.cancel_scope.cancel()
    assert meter.read().max_ms >= 100.0
    assert named[0]["held_ms"] >= 200.0
    assert named[0]["log_level"] == "warning"


async def test_nobody_is_named_for_the_time_before_it_was_measured(
    mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiced.supervision.lag.BAD_MS", 0.0)
    meter = LagMeter(warn_ms=0.0, period_s=1.0)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(meter.serve)
            mock_clock.jump(1.0)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    (first,) = _late(logs)
    assert first["held_ms"] < CEILING_S * 1000  # and not as long as the machine is up


async def test_a_loop_that_is_late_all_the_time_says_so_now_and_then(mock_clock: MockClock) -> None:
    meter = LagMeter(warn_ms=100.0, period_s=1.0)
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            await nursery.start(meter.serve)
            for _ in range(15):
                await wait_all_tasks_blocked()
                mock_clock.jump(2.0)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    # At 2 s, after 10 s, and after 20 s more would be the third.
    assert [entry["lag_ms"] for entry in _late(logs)] == [1000.0] * 2
    assert [entry["times"] for entry in _late(logs)] == [1, 5]


def test_a_moment_of_a_busy_machine_is_no_warning_until_it_goes_on() -> None:
    alarm = Alarm(100.0)
    assert not any(alarm.judge(float(second), 150.0) for second in range(600))
    assert not any(alarm.judge(600.0 + n / 10, 99.0) for n in range(600))
    warned = [alarm.judge(700.0 + n / 10, 150.0) for n in range(LASTING + 5)]
    assert [n for n, warns in enumerate(warned) if warns] == [LASTING - 1]


def test_one_wake_that_can_be_heard_is_a_warning() -> None:
    assert Alarm(100.0).judge(0.0, BAD_MS)
    assert not Alarm(100.0).judge(0.0, BAD_MS - 1)


def test_what_lasts_for_hours_is_told_ever_more_seldom_and_what_is_new_at_once() -> None:
    alarm = Alarm(100.0)
    warned = [now for now in range(7_200) if alarm.judge(float(now), 1_000.0)]
    assert warned[:4] == [0, 10, 30, 70]
    assert len(warned) < 20
    assert [now for now in range(50_000, 50_020) if alarm.judge(float(now), 1_000.0)] == [
        *(50_000, 50_010)
    ]


def _late(logs: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - structlog's own type
    return [entry for entry in logs if entry["event"] == "wake late"]


async def test_leaving_the_meter_takes_its_instrument_away() -> None:
    meter = LagMeter(period_s=0.001)
    async with trio.open_nursery() as nursery:
        await nursery.start(meter.serve)
        nursery.cancel_scope.cancel()
    before = meter.read()
    await _hog()
    await trio.lowlevel.checkpoint()
    assert meter.read() == before
    structlog.reset_defaults()
