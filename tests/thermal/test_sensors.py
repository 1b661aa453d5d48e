"""The sensor is chosen by name, and a machine without one is no error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from voiced.thermal.governor import is_plausible
from voiced.thermal.sensors import Reading, read_temperature, read_throttled, throttled_bits

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


# -- a file of the settings --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "celsius"),
    [("70123\n", 70.123), ("48.5", 48.5), ("-1000", -1.0), ("0", 0.0), ("85000000", 85_000.0)],
)
def test_the_file_of_the_settings_is_read_and_nothing_else(
    text: str, celsius: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _machine(monkeypatch, {"cpu_thermal": 55.2})
    path = tmp_path / "temp"
    path.write_text(text)
    assert read_temperature(source=str(path)) == Reading(celsius, str(path))


@pytest.mark.parametrize("text", ["", "hot", "70 C", "\xff\xfe", "7" * 1000 + "x"])
def test_what_is_no_number_is_no_reading(text: str, tmp_path: Path) -> None:
    path = tmp_path / "temp"
    path.write_text(text)
    reading = read_temperature(source=str(path))
    assert reading is None or not is_plausible(reading.celsius)


def test_a_file_that_is_none_is_no_reading(tmp_path: Path) -> None:
    """A pipe above all: to wait for its writer would be to wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, tmp_path / "absent", "zero\0byte"):
        assert read_temperature(source=str(path)) is None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999"])
def test_a_number_that_is_none_is_for_the_governor_to_refuse(text: str, tmp_path: Path) -> None:
    path = tmp_path / "temp"
    path.write_text(text)
    reading = read_temperature(source=str(path))
    assert reading is not None
    assert not is_plausible(reading.celsius)


# -- the firmware's bits -----------------------------------------------------------------------


@pytest.mark.parametrize("soc", ["soc", "soc@107c000000"])
def test_the_bits_are_found_wherever_the_model_has_them(soc: str, tmp_path: Path) -> None:
    assert read_throttled(tmp_path) is None
    firmware = tmp_path / soc / "soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50005\n")
    assert read_throttled(tmp_path) == 0x50005
    (firmware / "get_throttled").write_text("no\n")
    assert read_throttled(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "bits"), [("throttled=0x50005\n", 0x50005), ("0", 0), ("", None), ("error", None)]
)
def test_both_spellings_of_the_bits(text: str, bits: int | None) -> None:
    assert throttled_bits(text) == bits
