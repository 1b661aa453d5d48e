"""The task: looks once a period, looks again where it doubts, and outlives whatever it meets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from msgspec import structs
from structlog.testing import capture_logs

from tests.patience import CEILING_S
from voiced.errors import SettingsError
from voiced.settings import Thermal
from voiced.supervision.hearts import Hearts
from voiced.thermal.heat import Heat, Level
from voiced.thermal.sensors import Reading
from voiced.thermal.supervisor import Sensors, Supervisor, ask_throttled, open_thermal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = Thermal(dwell_s=0.0)


def no_bits() -> int | None:
    return None


def sensors(
    temperature: Callable[[], Reading | None],
    throttled: Callable[[], int | None] = no_bits,
    command: str = "",
) -> Sensors:
    return Sensors(temperature=temperature, throttled=throttled, command=command)


class Zone:
    """A sensor whose temperature a test sets; it counts how often it is read."""

    def __init__(self, celsius: float | None = 50.0) -> None:
        self.celsius = celsius
        self.reads = 0

    def read(self) -> Reading | None:
        self.reads += 1
        return None if self.celsius is None else Reading(self.celsius, "zone")


async def test_each_look_is_told_and_each_change_logged_once() -> None:
    zone, heat = Zone(), Heat()
    supervisor = Supervisor(RULES, heat, Hearts(), sensors(zone.read))
    with capture_logs() as logged:
        for degrees in (70.0, 70.5, 81.0, 82.0, 86.0, 83.0, 79.0, 74.0):
            zone.celsius = degrees
            await supervisor.look()
            assert heat.celsius == degrees
    assert supervisor.polls == 8
    changes = [line for line in logged if line["event"] == "heat level changed"]
    assert [(line["before"], line["now"], line["log_level"]) for line in changes] == [
        ("unknown", "normal", "info"),
        ("normal", "hot", "warning"),
        ("hot", "critical", "warning"),
        ("critical", "hot", "info"),
        ("hot", "warm", "info"),
    ]
    assert all("level" not in line for line in changes)  # that is a key of every line
    assert changes[2]["celsius"] == 86.0
    assert changes[2]["reason"] == "the processor is at 86 °C"


async def test_it_is_known_at_the_start_and_looked_at_once_a_period() -> None:
    """On the real clock, since a thread reads; what is counted is looks, and not seconds."""
    zone, heat, hearts = Zone(76.0), Heat(), Hearts()
    rules = structs.replace(RULES, poll_seconds=0.02)
    supervisor = Supervisor(rules, heat, hearts, sensors(zone.read))
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.serve)
            assert supervisor.polls == 1
            assert "thermal" in hearts.ages_s()
            await heat.wait_until(lambda level: level is Level.WARM)
            zone.celsius = 81.0
            await heat.wait_until(lambda level: level is Level.HOT)
            nursery.cancel_scope.cancel()
    assert zone.reads == supervisor.polls
    assert "thermal" not in hearts.ages_s()


async def test_a_doubtful_reading_is_looked_at_again_soon() -> None:
    """The next look of its own would come in an hour."""
    zone, heat = Zone(90.0), Heat()
    rules = structs.replace(RULES, poll_seconds=3600.0)
    supervisor = Supervisor(rules, heat, Hearts(), sensors(zone.read))
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.serve)
            assert heat.level is Level.UNKNOWN
            assert await heat.wait_until(lambda level: level > Level.UNKNOWN) is Level.CRITICAL
            nursery.cancel_scope.cancel()
    assert supervisor.polls == 2


async def test_a_sensor_that_hangs_holds_one_thread_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voiced.thermal.supervisor.READ_S", 0.05)
    go_on, calls = threading.Event(), []

    def hangs() -> Reading | None:
        calls.append(1)
        go_on.wait(CEILING_S)
        return None

    heat = Heat()
    supervisor = Supervisor(RULES, heat, Hearts(), sensors(hangs))
    try:
        with capture_logs() as logged:
            for _ in range(3):
                await supervisor.look()
    finally:
        go_on.set()
    assert len(calls) == 1
    assert heat.level is Level.UNKNOWN
    assert [line["event"] for line in logged] == ["no sensor tells the temperature"]


async def test_a_fault_of_ours_makes_it_unknown_and_is_told_once() -> None:
    zone, heat = Zone(86.0), Heat()
    broken: list[bool] = []
    levels: list[Level] = []

    def read() -> Reading | None:
        if broken:
            raise RuntimeError("a bug")
        return zone.read()

    supervisor = Supervisor(RULES, heat, Hearts(), sensors(read))

    async def look_twice() -> None:
        for _ in range(2):
            await supervisor.look()
        levels.append(heat.level)

    await look_twice()
    broken.append(True)
    with capture_logs() as logged:
        await look_twice()
    assert heat.reasons == ("the thermal supervisor failed",)
    assert [line["log_level"] for line in logged if "failed" in line["event"]] == ["error"]
    broken.clear()
    await look_twice()
    assert levels == [Level.CRITICAL, Level.UNKNOWN, Level.CRITICAL]


async def test_switched_off_nobody_looks(tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("90000\n")
    hearts = Hearts()
    rules = Thermal(enabled=False, source=str(zone))
    async with open_thermal(rules, hearts) as heat:
        await trio.testing.wait_all_tasks_blocked()
        assert heat.level is Level.UNKNOWN
    async with open_thermal(structs.replace(rules, enabled=True), hearts) as heat:
        with trio.fail_after(CEILING_S):
            assert await heat.wait_until(lambda level: level > Level.NORMAL) is Level.CRITICAL


async def test_thresholds_out_of_order_do_not_start() -> None:
    with pytest.raises(SettingsError):
        async with open_thermal(Thermal(hot_release_c=90.0), Hearts()):
            pass


# -- the firmware's word -----------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Callable[[str], str]:
    """Makes a program of a shell script in place of vcgencmd."""

    def make(script: str) -> str:
        path = tmp_path / "vcgencmd"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    return make


async def test_the_program_is_asked_where_no_driver_tells(command: Callable[[str], str]) -> None:
    zone, heat = Zone(76.0), Heat()
    path = command('[ "$1" = get_throttled ] && echo throttled=0x50004')
    rules = structs.replace(RULES, poll_seconds=0.02, dwell_s=5.0)
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            asked = sensors(zone.read, command=path)
            await nursery.start(Supervisor(rules, heat, Hearts(), asked).serve)
            await heat.wait_until(lambda level: level is Level.HOT)
            nursery.cancel_scope.cancel()
    assert "the firmware slows the processor down" in heat.reasons


@pytest.mark.parametrize("script", ["exit 1", "echo VCHI initialization failed >&2", "kill $$"])
async def test_a_program_that_does_not_know_is_no_word(
    script: str, command: Callable[[str], str]
) -> None:
    assert await ask_throttled(command(script)) is None


async def test_a_program_that_hangs_is_ended(
    command: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiced.thermal.supervisor.COMMAND_S", 0.05)
    with trio.fail_after(CEILING_S):
        assert await ask_throttled(command("exec sleep 600")) is None
    assert await ask_throttled("/there/is/no/such/program") is None


async def test_the_driver_is_never_read_on_the_loop(
    command: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang: that is what the thread is for."""
    monkeypatch.setattr("voiced.thermal.supervisor.COMMAND_EVERY_S", 0.01)
    mine, readers = threading.current_thread(), set()

    def throttled() -> int | None:
        readers.add(threading.current_thread())
        return None

    zone, heat = Zone(76.0), Heat()
    asked = sensors(zone.read, throttled, command("echo throttled=0x0"))
    with trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(
                structs.replace(RULES, poll_seconds=0.01), heat, Hearts(), asked
            )
            await nursery.start(supervisor.serve)
            await heat.wait_until(lambda level: level > Level.UNKNOWN)
            while heat.looks < 3:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert readers
    assert mine not in readers


async def test_a_program_that_was_late_once_is_asked_again(
    command: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that the supply is weak, then nothing, then that all is well."""
    monkeypatch.setattr("voiced.thermal.supervisor.COMMAND_EVERY_S", 0.01)
    asked = tmp_path / "asked"
    path = command(
        f"echo >> {asked}\n"
        f"case $(wc -l < {asked}) in 1) echo throttled=0x1 ;; 2) exit 1 ;; *) echo throttled=0x0 ;;"
        " esac"
    )
    rules = structs.replace(RULES, poll_seconds=0.01)
    zone, hearts = Zone(50.0), Hearts()
    supervisor = Supervisor(rules, Heat(), hearts, sensors(zone.read, command=path))
    with capture_logs() as logged, trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.serve)
            while not any("strong enough" in line["event"] for line in logged):  # noqa: ASYNC110
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_a_fault_about_the_program_leaves_the_temperature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fails(command: str) -> int | None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("a bug")

    monkeypatch.setattr("voiced.thermal.supervisor.ask_throttled", fails)
    zone, heat = Zone(50.0), Heat()
    rules = structs.replace(RULES, poll_seconds=0.01)
    with capture_logs() as logged, trio.fail_after(CEILING_S):
        async with trio.open_nursery() as nursery:
            supervisor = Supervisor(rules, heat, Hearts(), sensors(zone.read, command="vcgencmd"))
            await nursery.start(supervisor.serve)
            zone.celsius = 60.0
            while heat.celsius != 60.0:  # noqa: ASYNC110 - nothing tells of it
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert [line["log_level"] for line in logged if "not asked" in line["event"]] == ["error"]
