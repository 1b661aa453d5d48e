"""Dates, years, decades and times of day as English says them. Pure: text in, text out."""

from __future__ import annotations

import re

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
ISO_DATE = re.compile(r"(?<![\w-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\w-])")
CLOCK = re.compile(
    r"(?<![\w:.])(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)(?![\w:])(?P<half>\s?[ap]\.?m\.?)?",
    re.IGNORECASE,
)
DECADE = re.compile(
    r"(?<![\w.,])(?P<century>1[1-9]|20)?(?P<decade>\d0)s(?!\w)"
    r"(?:(?<=\d{4}s)|(?<=\b[Tt]he \d0s)|(?<=(?:arly|late|.mid)[ -]\d0s)|(?<=[\u2019']\d0s))"
)
"""The 1990s, or the 90s: no seconds."""
TENS = {
    "10": "tens",
    "20": "twenties",
    "30": "thirties",
    "40": "forties",
    "50": "fifties",
    "60": "sixties",
    "70": "seventies",
    "80": "eighties",
    "90": "nineties",
}
SHORT_MONTH = re.compile(
    r"\b(?P<month>Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s?\d{1,2}\b|\s\d{4}\b)"
)
HALF_OF_DAY = re.compile(r"(?<=\d)\s?(?P<half>[ap])\.m\.", re.IGNORECASE)
YEAR = re.compile(
    rf"(?P<before>\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Bb]efore|[Aa]fter|[Dd]uring|[Yy]ear|"
    rf"{'|'.join(MONTHS)})\s|\b(?:{'|'.join(MONTHS)})\s\d{{1,2}},\s)"
    r"(?P<century>1[1-9]|20)(?P<rest>\d\d)(?!\s?[%\w]|[.,]\d)(?![\w-])"
)
SLASHED_DATE = re.compile(
    r"(?<![\w/])(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>\d{4})(?![\w/])"
)


def spell_times(text: str) -> str:
    """`text` with its dates and times in words; what has no rule stays as it is."""
    text = SHORT_MONTH.sub(month, text)
    text = ISO_DATE.sub(date, text)
    text = SLASHED_DATE.sub(slashed_date, text)
    text = DECADE.sub(decade, text)
    text = YEAR.sub(year, text)
    text = CLOCK.sub(clock, text)
    return HALF_OF_DAY.sub(lambda found: f" {found['half'].upper()}M", text)


def date(found: re.Match[str]) -> str:
    """2026-11-21, as it is said; what is no date stays."""
    month, day = int(found["month"]), int(found["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0]
    return f"{MONTHS[month - 1]} {day}, {found['year']}"


def slashed_date(found: re.Match[str]) -> str:
    """12/25/2026 or 25/12/2026; one that could be either stays, since nobody knows."""
    first, second = int(found["first"]), int(found["second"])
    if 1 <= first <= 12 < second <= 31:
        return f"{MONTHS[first - 1]} {second}, {found['year']}"
    if 1 <= second <= 12 < first <= 31:
        return f"{MONTHS[second - 1]} {first}, {found['year']}"
    return found[0]


def month(found: re.Match[str]) -> str:
    """The whole name of a month."""
    return next(name for name in MONTHS if name.startswith(found["month"][:3]))


def year(found: re.Match[str]) -> str:
    """A year by its two halves, as English says it: 19 99, 20 26, 19 hundred, 19 oh 5."""
    before, century, rest = found["before"], found["century"], found["rest"]
    if century == "20" and rest[0] == "0":
        return found[0]  # two thousand five
    if rest == "00":
        return f"{before}{century} hundred"
    return f"{before}{century} {f'oh {rest[1]}' if rest[0] == '0' else rest}"


def decade(found: re.Match[str]) -> str:
    """A decade, with its century where that is told."""
    century, tens = found["century"], found["decade"]
    if tens == "00":
        return {None: found[0], "20": "two thousands"}.get(century, f"{century} hundreds")
    return f"{century} {TENS[tens]}" if century else TENS[tens]


def clock(found: re.Match[str]) -> str:
    """A time of day: "7 oh 5", "12 o'clock"; with am or pm no "o'clock" is said."""
    hour, minute, half = int(found["hour"]), found["minute"], found["half"] or ""
    if hour > 24:
        return found[0]
    if half:
        half = " " + half.strip().replace(".", "").upper()
    if minute == "00":
        said = f"{hour}" if half else (f"{hour} o'clock" if 1 <= hour <= 12 else f"{hour} hundred")
    elif minute[0] == "0":
        said = f"{hour} oh {minute[1]}"
    else:
        said = f"{hour} {minute}"
    return said + half
