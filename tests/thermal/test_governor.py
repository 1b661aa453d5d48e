"""Up at once, down late, and never to and fro, whatever the sensor does."""

from __future__ import annotations

from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from voiced.errors import SettingsError
from voiced.settings import Thermal
from voiced.thermal.governor import (
    JUMP_C,
    LOST_S,
    Governed,
    Look,
    Note,
    PowerChange,
    SensorFound,
    SensorLost,
    check_rules,
    step,
)
from voiced.thermal.heat import HeatChange, Level

RULES = Thermal(dwell_s=10.0)
UNKNOWN, NORMAL, WARM, HOT, CRITICAL = Level

celsius = st.floats(1, 125)
mild = st.floats(1, 74)


class Watched:
    """A governor, its clock, and what it had to say."""

    def __init__(self, rules: Thermal = RULES) -> None:
        self.rules = rules
        self.state = Governed()
        self.now = 1000.0
        self.notes: list[Note] = []

    def look(
        self, celsius: float | None, *, bits: int | None = None, after_s: float = 1.0
    ) -> Level:
        self.now += after_s
        look = Look(celsius=celsius, source="zone", bits=bits)
        self.state, notes = step(self.rules, self.state, look, self.now)
        self.notes += notes
        return self.state.level

    def settle(self, celsius: float, looks: int = 30) -> Level:
        """There for so long that every dwell is over."""
        return [self.look(celsius) for _ in range(looks)][-1]

    @property
    def changes(self) -> list[tuple[Level, Level]]:
        return [(n.before, n.after) for n in self.notes if isinstance(n, HeatChange)]


@pytest.mark.parametrize(
    ("celsius", "level"),
    [
        (20.0, NORMAL),
        (74.9, NORMAL),
        (75.0, WARM),
        (79.9, WARM),
        (80.0, HOT),
        (84.9, HOT),
        (85.0, CRITICAL),
        (125.0, CRITICAL),
    ],
)
def test_each_level_has_its_trigger(celsius: float, level: Level) -> None:
    watched = Watched()
    watched.look(celsius)
    assert watched.look(celsius) is level


def test_the_way_up_and_down_again() -> None:
    """70, 81, 86, 83, 79, 74, and further down: each stays longer than the dwell."""
    watched = Watched()
    levels = [watched.settle(degrees) for degrees in (70, 81, 86, 83, 79, 74, 72, 71)]
    assert levels == [NORMAL, HOT, CRITICAL, CRITICAL, HOT, WARM, WARM, NORMAL]
    told = [n.celsius for n in watched.notes if isinstance(n, HeatChange)]
    assert told == [70, 81, 86, 79, 74, 71]


def test_up_is_at_once_and_down_takes_the_dwell() -> None:
    watched = Watched()
    watched.settle(84)
    assert watched.look(86) is CRITICAL
    cooling = [watched.look(79) for _ in range(11)]
    assert cooling == [CRITICAL] * 9 + [HOT] * 2


def test_critical_is_released_below_its_release_and_not_at_it() -> None:
    watched = Watched()
    watched.settle(80)
    watched.settle(86)
    assert watched.settle(80.0) is CRITICAL
    assert watched.settle(79.9) is HOT


@pytest.mark.parametrize("garbage", [nan, inf, -inf, -40.0, 0.0, 125.1, 85_000.0, None])
def test_what_no_processor_can_have_is_no_reading(garbage: float | None) -> None:
    watched = Watched()
    watched.settle(76)
    before = list(watched.notes)
    assert [watched.look(garbage) for _ in range(5)] == [WARM] * 5
    assert watched.look(76) is WARM
    assert watched.notes == before


def test_a_lost_sensor_holds_the_level_for_a_while_and_is_told_once() -> None:
    watched = Watched()
    watched.settle(82)
    levels = [watched.look(None) for _ in range(120)]
    held = int(LOST_S) - 1
    assert levels == [HOT] * held + [UNKNOWN] * (120 - held)
    assert [n for n in watched.notes if isinstance(n, SensorLost)] == [SensorLost("zone")]
    watched.look(82)
    assert watched.look(82) is HOT
    found = [n for n in watched.notes if isinstance(n, SensorFound)]
    assert found == [SensorFound("zone"), SensorFound("zone")]


def test_without_a_sensor_nothing_is_known_and_that_is_told_once() -> None:
    watched = Watched()
    assert [watched.look(None) for _ in range(100)] == [UNKNOWN] * 100
    assert watched.notes == [SensorLost("")]
    assert watched.state.reasons == ("no sensor tells how warm the processor is",)


def test_one_absurd_jump_is_nothing_and_two_that_agree_are_believed() -> None:
    watched = Watched()
    watched.settle(60)
    assert watched.look(110) is NORMAL
    assert watched.state.doubted == 110
    assert watched.look(61, after_s=0.2) is NORMAL
    assert watched.state.celsius == 61
    assert watched.look(88) is NORMAL
    assert watched.look(89, after_s=0.2) is CRITICAL


def test_a_first_reading_with_consequences_is_looked_at_twice() -> None:
    watched = Watched()
    assert watched.look(110) is UNKNOWN
    assert watched.look(50, after_s=0.2) is NORMAL
    assert SensorLost("") not in watched.notes


def test_a_sensor_that_never_agrees_with_itself_is_lost() -> None:
    watched = Watched()
    levels = [watched.look(110.0 if number % 2 else 76.0) for number in range(100)]
    assert levels[-1] is UNKNOWN
    assert [n for n in watched.notes if isinstance(n, SensorLost)] == [SensorLost("")]


@pytest.mark.parametrize("bit", [1, 2, 3])
def test_a_throttled_processor_is_one_level_up(bit: int) -> None:
    for degrees, level in [(60, WARM), (76, HOT), (81, CRITICAL), (86, CRITICAL)]:
        watched = Watched()
        watched.settle(degrees)
        assert watched.look(degrees, bits=1 << bit) is level
        assert "the firmware slows the processor down" in watched.state.reasons


def test_bits_of_the_past_and_of_the_power_supply_raise_nothing() -> None:
    watched = Watched()
    watched.settle(60)
    assert watched.look(60, bits=0xF0001) is NORMAL
    assert watched.notes[-1] == PowerChange(weak=True)
    assert watched.state.reasons[1:] == ("the power supply is too weak",)
    assert watched.look(60, bits=0xF0000) is NORMAL
    assert watched.notes[-1] == PowerChange(weak=False)


def test_bits_count_without_a_sensor() -> None:
    watched = Watched()
    watched.look(None)
    assert watched.look(None, bits=0b100) is WARM


def test_bits_that_flicker_hold_the_level() -> None:
    watched = Watched()
    watched.settle(76)
    levels = {watched.look(76, bits=(0b100 if number % 4 == 0 else 0)) for number in range(100)}
    assert levels == {HOT}
    assert [watched.look(76, bits=0) for _ in range(12)][-1] is WARM


# -- for all temperatures ----------------------------------------------------------------------


@given(st.floats(21, 119), st.lists(st.floats(-1, 1), min_size=50, max_size=200))
def test_noise_of_a_degree_never_switches_to_and_fro(around: float, noise: list[float]) -> None:
    """Wherever the temperature stands: each step is taken once, in one direction."""
    watched = Watched(structs.replace(RULES, dwell_s=0.0))
    watched.settle(around)
    known = len(watched.changes)
    for degrees in noise:
        watched.look(around + degrees)
    levels = [after for _, after in watched.changes[known:]]
    assert levels == sorted(set(levels)) or levels == sorted(set(levels), reverse=True)


@pytest.mark.parametrize("threshold", [72, 75, 77, 80, 85])
@pytest.mark.parametrize("start", [60.0, 86.0])
def test_noise_around_each_threshold_changes_the_level_once_at_most(
    threshold: int, start: float
) -> None:
    watched = Watched(structs.replace(RULES, dwell_s=0.0))
    for degrees in (start, (start + threshold) / 2, threshold):
        watched.settle(degrees)
    known = len(watched.changes)
    for number in range(200):
        watched.look(threshold + (-1.0, 1.0, 0.0, 1.0, -1.0)[number % 5])
    assert len(watched.changes) - known <= 1


@given(st.lists(st.tuples(celsius, st.sampled_from([None, 0, 1, 2, 4, 8])), max_size=60))
def test_down_takes_at_least_the_dwell(looks: list[tuple[float, int | None]]) -> None:
    watched = Watched()
    entered = watched.now
    for degrees, bits in looks:
        before = watched.state.base
        watched.look(degrees, bits=bits)
        if watched.state.base < before:
            assert watched.now - entered >= RULES.dwell_s
        if watched.state.base is not before:
            entered = watched.now


@given(st.lists(celsius, max_size=40), celsius, st.floats(0, JUMP_C))
def test_hotter_is_never_a_lower_level(past: list[float], degrees: float, more: float) -> None:
    watched = Watched()
    for reading in past:
        watched.look(reading)
    cool, hot = degrees, min(125.0, degrees + more)
    watched.settle(cool, 1)
    states = []
    for reading in (cool, hot):
        look = Look(celsius=reading, source="zone")
        states.append(step(RULES, watched.state, look, watched.now + 1)[0])
    if all(state.doubted is None for state in states):
        assert states[0].level <= states[1].level


@given(
    st.lists(st.one_of(st.none(), st.floats(), celsius), max_size=40),
    st.floats(85, 125),
    st.floats(85, 125),
)
def test_two_readings_in_a_row_that_agree_are_enough_for_critical(
    past: list[float | None], first: float, second: float
) -> None:
    watched = Watched()
    for reading in past:
        watched.look(reading)
    watched.look(first)
    if abs(first - second) <= JUMP_C:
        assert watched.look(second, after_s=0.2) is CRITICAL


@given(st.lists(st.tuples(st.one_of(st.none(), st.floats()), st.integers() | st.none())))
def test_it_takes_anything_and_says_what_changed(
    looks: list[tuple[float | None, int | None]],
) -> None:
    watched = Watched()
    for degrees, bits in looks:
        watched.look(degrees, bits=bits)
    for (_, before), (after, _) in pairwise(watched.changes):
        assert before is after
    if watched.changes:
        assert watched.changes[0][0] is UNKNOWN
        assert watched.changes[-1][1] is watched.state.level
    lost = [n for n in watched.notes if isinstance(n, SensorLost | SensorFound)]
    assert all(
        not (isinstance(one, SensorLost) and isinstance(other, SensorLost))
        for one, other in pairwise(lost)
    )


@given(st.lists(mild, min_size=1))
def test_below_every_threshold_nothing_ever_gives_way(readings: list[float]) -> None:
    watched = Watched()
    assert {watched.look(reading) for reading in readings} <= {UNKNOWN, NORMAL}


# -- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (Thermal(hot_release_c=78.5), "thermal.hot_release_c is 78.5 and thermal.hot_c is 80"),
        (Thermal(warm_c=81, warm_release_c=72), "thermal.warm_c is 81 and thermal.hot_c is 80"),
        (
            Thermal(critical_release_c=76),
            "thermal.hot_release_c is 77 and thermal.critical_release_c is 76",
        ),
    ],
)
def test_thresholds_out_of_order_are_refused(rules: Thermal, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        check_rules(rules)
    check_rules(Thermal())
