"""Nothing is done in advance on a warm processor."""

from __future__ import annotations

import pytest

from voiced.thermal.sensors import Reading
from voiced.thermal.warmth import Warmth


@pytest.mark.parametrize(
    ("degrees", "cool"),
    [
        ([60.0], [True]),
        ([74.9, 75.0], [True, False]),
        ([76.0, 71.0, 70.0, 69.9, 74.0], [False, False, False, True, True]),
        ([80.0, None], [False, True]),
    ],
)
def test_it_is_warm_until_it_is_cool_again(degrees: list[float | None], cool: list[bool]) -> None:
    readings = iter(degrees)

    def read() -> Reading | None:
        celsius = next(readings)
        return None if celsius is None else Reading(celsius=celsius, source="cpu_thermal")

    warmth = Warmth(read)
    assert warmth.is_cool()
    told = []
    for _ in degrees:
        warmth.look()
        told.append(warmth.is_cool())
    assert told == cool
