"""Reply templates: text with places for slots and results, spoken the way people say them."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.numerals import number_words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

_PLACE = re.compile(r"\{([^{}]*)\}")
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August",
           "September", "October", "November", "December")  # fmt: skip
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth",
             "eight": "eighth", "nine": "ninth", "twelve": "twelfth"}  # fmt: skip


class ReplyError(ValueError):
    """A reply template that cannot be used, or lacks a value it needs."""


class Reply(msgspec.Struct, frozen=True):
    """A checked reply template."""

    text: str

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text to say. Raises `ReplyError` for a value that is missing or not speakable."""

        def spoken(place: re.Match[str]) -> str:
            name, _, how = place[1].partition("|")
            value = values.get(name)
            if value is None:
                raise ReplyError(f"no value for {{{name}}}")
            try:
                return FILTERS[how](value) if how else plain(value)
            except (TypeError, ValueError, ArithmeticError) as error:
                raise ReplyError(f"{value!r} does not fit {{{place[1]}}}") from error

        return _PLACE.sub(spoken, self.text)


def parse_reply(text: str, known: Collection[str]) -> Reply:
    """Check a reply template whose places may be any of `known`. Raises `ReplyError`."""
    for place in _PLACE.finditer(text):
        name, bar, how = place[1].partition("|")
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ReplyError(f"unknown placeholder {{{name}}} in the reply; known are {names}")
        if bar and how not in FILTERS:
            filters = ", ".join(sorted(FILTERS))
            raise ReplyError(f"unknown filter {how!r} in {{{place[1]}}}; known are {filters}")
    if set(_PLACE.sub("", text)) & set("{}"):
        raise ReplyError("a '{' or '}' without its other half in the reply")
    return Reply(" ".join(text.split()))


def plain(value: object) -> str:
    """A slot as it is; numbers as `number` says them."""
    return spoken_number(value) if isinstance(value, (int, float)) else str(value)


def spoken_number(value: object) -> str:
    """A number in digits, short: 56.0 is `56`, 2/3 is `0.667`, -5 is `minus 5`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    if isinstance(value, float):
        value = round(value, 3) if abs(value) >= 0.001 or value == 0 else float(f"{value:.2g}")
    text = str(abs(value))
    if isinstance(value, float):
        text = f"{abs(value):.9f}".rstrip("0").rstrip(".")
    return f"minus {text}" if value < 0 else text


def spoken_clock(value: object) -> str:
    """`14:05` is `five past two`; on the twelve-hour clock."""
    hours, minutes = (int(part) for part in str(value).split(":")[:2])
    if not (0 <= hours < 24 and 0 <= minutes < 60):
        raise ValueError(value)
    if minutes == 0:
        if hours % 12:
            return f"{number_words(hours % 12)} o'clock"
        return "noon" if hours else "midnight"
    past = minutes <= 30
    hour = number_words(((hours if past else hours + 1) - 1) % 12 + 1)
    distance = minutes if past else 60 - minutes
    side = "past" if past else "to"
    if distance in (15, 30):
        return f"{'a quarter' if distance == 15 else 'half'} {side} {hour}"
    unit = "" if distance % 5 == 0 else " minute" if distance == 1 else " minutes"
    return f"{number_words(distance)}{unit} {side} {hour}"


def spoken_date(value: object) -> str:
    """`2026-11-20` is `Friday, the twentieth of November`."""
    day = date.fromisoformat(str(value)[:10])
    return f"{_DAYS[day.weekday()]}, the {ordinal(day.day)} of {_MONTHS[day.month - 1]}"


def ordinal(number: int) -> str:
    """1 is `first`, 21 is `twenty first`."""
    *before, last = number_words(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    elif last.endswith("y"):
        last = f"{last[:-1]}ieth"
    else:
        last = f"{last}th"
    return " ".join((*before, last))


def spoken_duration(value: object) -> str:
    """Seconds as `3 hours and 10 minutes`; part of a second counts as a whole one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise TypeError(value)
    seconds = -int(-value // 1)
    parts: list[str] = []
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}" if count == 1 else f"{count} {name}s")
    if not parts:
        return "0 seconds"
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def spoken_arithmetic(value: object) -> str:
    """`7 * -8` is `7 times minus 8`."""
    signs = {"+": "plus", "*": "times", "/": "divided by", "% of": "percent of"}
    text = re.sub(r"% of|[+*/]", lambda sign: signs[sign[0]], str(value))
    return " ".join(text.replace("-", " minus ").split())


FILTERS: Mapping[str, Callable[[object], str]] = {
    "arithmetic": spoken_arithmetic,
    "clock": spoken_clock,
    "date": spoken_date,
    "duration": spoken_duration,
    "number": spoken_number,
}
