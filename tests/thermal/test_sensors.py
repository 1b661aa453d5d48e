"""The sensor is chosen by name, and a machine without one is no error."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from voiced.thermal.sensors import Reading, read_temperature

if TYPE_CHECKING:
    from pathlib import Path


class _Temp(NamedTuple):
    label: str
    current: float
    high: float | None
    critical: float | None


def _machine(monkeypatch: pytest.MonkeyPatch, chips: dict[str, float]) -> None:
    readings = {name: [_Temp("", celsius, None, None)] for name, celsius in chips.items()}
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: readings, raising=False)


def _zone(zones: Path, number: int, kind: str, temp: str) -> Path:
    zone = zones / f"thermal_zone{number}"
    zone.mkdir()
    (zone / "type").write_text(kind + "\n")
    (zone / "temp").write_text(temp)
    return zone / "temp"


@pytest.mark.parametrize("name", ["cpu_thermal", "cpu-thermal"])
def test_the_processor_is_read_and_not_the_hottest_chip(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, {"rp1_adc": 71.0, name: 55.2, "rpi_volt": 0.0})
    assert read_temperature(tmp_path) == Reading(55.2, name)


def test_a_thermal_zone_is_read_where_no_chip_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, {"rp1_adc": 71.0})
    _zone(tmp_path, 0, "gpu-thermal", "90000\n")
    path = _zone(tmp_path, 1, "cpu-thermal", "48312\n")
    assert read_temperature(tmp_path) == Reading(48.312, str(path))


@pytest.mark.parametrize("temp", ["", "hot"])
def test_an_unreadable_sensor_counts_as_none(
    temp: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, {})
    _zone(tmp_path, 0, "cpu-thermal", temp)
    assert read_temperature(tmp_path) is None


def test_a_machine_without_sensors_has_no_temperature(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, {})
    assert read_temperature(tmp_path / "absent") is None
