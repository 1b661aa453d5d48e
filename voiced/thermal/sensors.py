"""Reading the processor's temperature. Only reading: what to do about it is the governor's."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import psutil

# By name: on a Raspberry Pi `rp1_adc` is often hotter than the processor, so taking the highest
# of all chips would shed work for the wrong one. x86 machines come last.
CHIPS = ("cpu_thermal", "cpu-thermal", "coretemp", "k10temp")
ZONES = Path("/sys/class/thermal")
ZONE_TYPES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp")
PLATFORM = Path("/sys/devices/platform")

MOST_BYTES = 64
"""More than any sensor writes: somebody may name a file that is none."""


class Reading(msgspec.Struct, frozen=True):
    """A temperature in degrees Celsius, whatever the sensor says, and the sensor it comes from."""

    celsius: float
    source: str


def read_temperature(zones: Path = ZONES, *, source: str = "") -> Reading | None:
    """The processor's temperature, or None where the machine tells none.

    Reads `source` where one is named, and nothing else. Else asks psutil for the chip by name,
    then the kernel's thermal zones by type. Never raises, and never waits for a writer; takes
    well under a millisecond.
    """
    if source:
        return _from_file(Path(source))
    return _from_chips() or _from_zones(zones)


def _from_chips() -> Reading | None:
    if not hasattr(psutil, "sensors_temperatures"):
        return None
    try:
        chips = psutil.sensors_temperatures()
    except OSError:  # a sensor that vanished while it was read
        return None
    for name in CHIPS:
        if readings := chips.get(name):
            return Reading(celsius=max(reading.current for reading in readings), source=name)
    return None


def _from_zones(zones: Path) -> Reading | None:
    for kind in ZONE_TYPES:
        for zone in sorted(zones.glob("thermal_zone*")):
            if _text(zone / "type") == kind and (reading := _from_file(zone / "temp")):
                return reading
    return None


def _from_file(path: Path) -> Reading | None:
    """A whole number is thousandths of a degree, as the kernel writes it."""
    text = _text(path)
    try:
        number = float(text)
    except ValueError:
        return None
    return Reading(celsius=number if "." in text else number / 1000, source=str(path))


def read_throttled(platform: Path = PLATFORM) -> int | None:
    """The firmware's `get_throttled` bits, None where its driver does not tell them."""
    # The node's parent is named after an address that differs between models.
    for path in sorted(platform.glob("soc*/*firmware/get_throttled")):
        if (bits := throttled_bits(_text(path))) is not None:
            return bits
    return None


def throttled_bits(text: str) -> int | None:
    """From what sysfs (`50005`) or vcgencmd (`throttled=0x50005`) says."""
    try:
        return int(text.strip().removeprefix("throttled="), 16)
    except ValueError:
        return None


def _text(path: Path) -> str:
    """What a small file has; "" where it cannot be read. A pipe without a writer is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(descriptor, MOST_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except (OSError, ValueError):  # ValueError: a zero byte in the path
        return ""
