"""A live supervisor on sensors that flicker, tell nonsense, or are not there."""

from __future__ import annotations

from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

import psutil
import pytest
import trio
import trio.testing

from tests.patience import CEILING_S
from tests.thermal.heat_scene import POLL_S, Zone
from voiced.settings import Thermal
from voiced.supervision.hearts import Hearts
from voiced.thermal.heat import Heat, Level
from voiced.thermal.supervisor import open_thermal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


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
