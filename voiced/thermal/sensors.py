"""Reading the processor's temperature. Only reading: what to do about it is the governor's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil

# By name: on a Raspberry Pi `rp1_adc` is often hotter than the processor, so taking the highest
# of all chips would shed work for the wrong one. x86 machines come last.
CHIPS = ("cpu_thermal", "cpu-thermal", "coretemp", "k10temp")
ZONES = Path("/sys/class/thermal")
ZONE_TYPES = ("cpu-thermal", "cpu_thermal", "soc-thermal", "x86_pkg_temp")


class Reading(msgspec.Struct, frozen=True):
    """A temperature in degrees Celsius, and the sensor it comes from."""

    celsius: float
    source: str


def read_temperature(zones: Path = ZONES) -> Reading | None:
    """The processor's temperature, or None where the machine tells none.

    Asks psutil for the chip by name, then the kernel's thermal zones by type. Never raises; takes
    well under a millisecond.
    """
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
            try:
                if (zone / "type").read_text().strip() == kind:
                    # In thousandths of a degree.
                    celsius = int((zone / "temp").read_text()) / 1000
                    return Reading(celsius=celsius, source=str(zone / "temp"))
            except (OSError, ValueError):
                continue
    return None
