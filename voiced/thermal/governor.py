"""From temperatures to a level: a pure step, with everything that a sensor can get wrong.

Going up is immediate, since a processor that grows hot does so within seconds. Going down takes
that a level has held for a while, and a temperature well below the one that raised it. So noise of
a degree never makes a level come and go: its trigger and its release are at least two apart.
"""

from __future__ import annotations

from itertools import pairwise
from math import inf, isfinite
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from voiced.errors import SettingsError
from voiced.thermal.level import HeatChange, Level

if TYPE_CHECKING:
    from voiced.settings import Thermal

LEAST_GAP_C = 2.0
"""Between the trigger of a level and its release: what sensors flicker by, twice."""

PLAUSIBLE_C = (0.0, 125.0)
"""A reading has to lie above the first and not above the second: silicon is dead beyond it, and a
sensor that is not connected tells 0 or less."""

JUMP_C = 15.0
"""A reading farther than this from the one before is believed once the next one agrees with it.
No processor heats up so fast by itself within a second; a disturbed bus does it all the time."""

BASIS_S = 10.0
"""For how long a reading is what the next one is compared with."""

LOST_S = 30.0
"""For how long the last level holds when the sensor tells nothing that can be believed."""

UNDER_VOLTAGE = 1 << 0
SLOWED = 1 << 1 | 1 << 2 | 1 << 3
"""Bits of `get_throttled`: the frequency is capped, throttled, or at the soft limit."""

_RISING = (Level.WARM, Level.HOT, Level.CRITICAL)


class Look(Struct, frozen=True, kw_only=True):
    """What one look at the sensors found: None is nothing. `bits` are those of `get_throttled`."""

    celsius: float | None = None
    source: str = ""
    bits: int | None = None


class SensorLost(Struct, frozen=True):
    """No sensor tells anything that can be believed, or there never was one."""

    source: str


class SensorFound(Struct, frozen=True):
    """This sensor tells the temperature, for the first time or again."""

    source: str


class PowerChange(Struct, frozen=True):
    """The supply gives too little voltage (`weak`), or enough again. That is no heat."""

    weak: bool


Note = HeatChange | SensorLost | SensorFound | PowerChange
"""What a step has to say."""


class Governed(Struct, frozen=True, kw_only=True):
    """What is known after a look. `level` is what holds; the rest is how it came about."""

    level: Level = Level.UNKNOWN
    base: Level = Level.UNKNOWN
    """The level by temperature alone."""
    since: float = -inf
    """When `base` was entered."""
    celsius: float | None = None
    """The last temperature that was believed."""
    seen: float = -inf
    """When that was."""
    began: float = inf
    """When the first look was."""
    source: str = ""
    doubted: float | None = None
    """A reading that is not believed before the next one agrees: look again soon."""
    slowed_until: float = -inf
    """For so long the processor counts as slowed down by the firmware."""
    slowed: bool = False
    weak_power: bool = False
    lost: bool = False

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the level is what it is, in clauses, the weightiest first."""
        found = []
        if self.base is not Level.UNKNOWN and self.celsius is not None:
            found.append(f"the processor is at {self.celsius:.0f} °C")
        else:
            found.append("no sensor tells how warm the processor is")
        if self.slowed:
            found.append("the firmware slows the processor down")
        if self.weak_power:
            found.append("the power supply is too weak")
        return tuple(found)


def check_rules(rules: Thermal) -> None:
    """Raise `SettingsError` where the thresholds are not in order."""
    for level in _RISING:
        trigger, release = trigger_c(rules, level), release_c(rules, level)
        if release > trigger - LEAST_GAP_C:
            raise SettingsError(
                f"thermal.{level.word}_release_c is {release:g} and thermal.{level.word}_c is "
                f"{trigger:g}: the release has to be at least {LEAST_GAP_C:g} degrees lower, or "
                "the noise of the sensor would switch to and fro"
            )
    for lower, upper in pairwise(_RISING):
        for end in ("_c", "_release_c"):
            below, above = f"{lower.word}{end}", f"{upper.word}{end}"
            if getattr(rules, below) >= getattr(rules, above):
                raise SettingsError(
                    f"thermal.{below} is {getattr(rules, below):g} and thermal.{above} is "
                    f"{getattr(rules, above):g}: {lower.word} has to come before {upper.word}"
                )


def trigger_c(rules: Thermal, level: Level) -> float:
    """From this temperature on the level holds."""
    return float(getattr(rules, f"{level.word}_c"))


def release_c(rules: Thermal, level: Level) -> float:
    """Below this temperature the level ends."""
    return float(getattr(rules, f"{level.word}_release_c"))


def step(
    rules: Thermal, state: Governed, look: Look, now: float
) -> tuple[Governed, tuple[Note, ...]]:
    """Take in one look, made at `now` seconds. Pure; never raises, whatever the look has.

    Where the new state has `doubted`, the next look should come sooner than the others.
    """
    before = state
    notes: list[Note] = []
    state = _hear(rules, state, look, now)
    if state.lost != before.lost or (state.source != before.source and not state.lost):
        notes.append(SensorLost(state.source) if state.lost else SensorFound(state.source))
    state = _take_bits(rules, state, look.bits, now)
    if state.weak_power != before.weak_power:
        notes.append(PowerChange(state.weak_power))
    level = state.base
    if state.slowed:
        level = Level(min(Level.CRITICAL, max(level, Level.NORMAL) + 1))
    state = structs.replace(state, level=level)
    if level is not before.level:
        change = HeatChange(before.level, level, _told_c(state), "; ".join(state.reasons))
        return state, (*notes, change)
    return state, tuple(notes)


def _told_c(state: Governed) -> float | None:
    return None if state.base is Level.UNKNOWN else state.celsius


def _hear(rules: Thermal, state: Governed, look: Look, now: float) -> Governed:
    """What the temperature makes of it."""
    state = structs.replace(state, began=min(state.began, now))
    celsius = look.celsius
    if celsius is None or not is_plausible(celsius):
        return _miss(structs.replace(state, doubted=None), now)
    if not _is_believed(rules, state, celsius, now):
        return _miss(structs.replace(state, doubted=celsius), now)
    state = structs.replace(
        state, celsius=celsius, seen=now, source=look.source, doubted=None, lost=False
    )
    up = level_at(rules, celsius)
    if up > state.base:
        return structs.replace(state, base=up, since=now)
    down = max(up, _held(rules, celsius, state.base))
    if down < state.base and now - state.since >= rules.dwell_s:
        return structs.replace(state, base=down, since=now)
    return state


def is_plausible(celsius: float) -> bool:
    """Whether a processor may have that temperature."""
    return isfinite(celsius) and PLAUSIBLE_C[0] < celsius <= PLAUSIBLE_C[1]


def _is_believed(rules: Thermal, state: Governed, celsius: float, now: float) -> bool:
    doubted, near = state.doubted, state.celsius
    if doubted is not None and abs(celsius - doubted) <= JUMP_C:
        return True
    if near is not None and now - state.seen <= BASIS_S:
        return abs(celsius - near) <= JUMP_C
    # With nothing to compare it with, only what would have consequences is looked at twice.
    return celsius < rules.warm_c


def _miss(state: Governed, now: float) -> Governed:
    """Nothing could be believed: the last level holds for a while."""
    # A first reading that is doubted is about to be looked at again, and not missing.
    last = state.seen if state.doubted is None else max(state.seen, state.began)
    if now - last < LOST_S:
        return state
    if state.base is not Level.UNKNOWN:
        state = structs.replace(state, base=Level.UNKNOWN, since=now)
    return structs.replace(state, lost=True)


def level_at(rules: Thermal, celsius: float) -> Level:
    """What this temperature raises the level to."""
    reached = [level for level in _RISING if celsius >= trigger_c(rules, level)]
    return max(reached, default=Level.NORMAL)


def _held(rules: Thermal, celsius: float, base: Level) -> Level:
    """The highest level up to `base` that is not released."""
    kept = [level for level in _RISING if level <= base and celsius >= release_c(rules, level)]
    return max(kept, default=Level.NORMAL)


def _take_bits(rules: Thermal, state: Governed, bits: int | None, now: float) -> Governed:
    """What the firmware says. Its bits flicker, so one counts for the dwell after it was last
    seen; of what nobody tells, the last word stands that long."""
    slowed_until = state.slowed_until
    if bits is not None and bits & SLOWED:
        slowed_until = now + rules.dwell_s
    weak = state.weak_power if bits is None else bool(bits & UNDER_VOLTAGE)
    slowed = bool(bits is not None and bits & SLOWED) or now < slowed_until
    if (slowed_until, slowed, weak) == (state.slowed_until, state.slowed, state.weak_power):
        return state
    return structs.replace(state, slowed_until=slowed_until, slowed=slowed, weak_power=weak)
