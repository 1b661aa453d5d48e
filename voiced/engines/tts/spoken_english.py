"""Money, units, dates and ranges as English says them. Pure: text in, text out.

Numbers themselves stay digits, without the marks between their thousands; voices read them.
"""

from __future__ import annotations

import re

NUMBER = r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"

CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "\u20ac": ("euro", "euros", "cent", "cents"),
    "\u00a3": ("pound", "pounds", "penny", "pence"),
    "\u00a5": ("yen", "yen", "", ""),
    "\u20b9": ("rupee", "rupees", "paisa", "paise"),
}
SIGNS = "".join(map(re.escape, CURRENCIES))
MAGNITUDES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}

MONEY = re.compile(
    rf"(?P<before>[{SIGNS}])\s?{NUMBER}(?:\s?(?P<size>thousand|million|billion|trillion|bn|[kKmMbB])\b)?"
)
MONEY_AFTER = re.compile(rf"(?<![\w.,]){NUMBER}\s?(?P<before>[{SIGNS}])")

UNITS = {
    "mm": ("millimeter", "millimeters"),
    "cm": ("centimeter", "centimeters"),
    "m": ("meter", "meters"),
    "km": ("kilometer", "kilometers"),
    "ft": ("foot", "feet"),
    "mi": ("mile", "miles"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "kg": ("kilogram", "kilograms"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ml": ("milliliter", "milliliters"),
    "l": ("liter", "liters"),
    "L": ("liter", "liters"),
    "ms": ("millisecond", "milliseconds"),
    "s": ("second", "seconds"),
    "sec": ("second", "seconds"),
    "min": ("minute", "minutes"),
    "h": ("hour", "hours"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "kph": ("kilometer per hour", "kilometers per hour"),
    "mph": ("mile per hour", "miles per hour"),
    "m/s": ("meter per second", "meters per second"),
    "Hz": ("hertz", "hertz"),
    "kHz": ("kilohertz", "kilohertz"),
    "MHz": ("megahertz", "megahertz"),
    "GHz": ("gigahertz", "gigahertz"),
    "W": ("watt", "watts"),
    "kW": ("kilowatt", "kilowatts"),
    "kWh": ("kilowatt hour", "kilowatt hours"),
    "V": ("volt", "volts"),
    "KB": ("kilobyte", "kilobytes"),
    "kB": ("kilobyte", "kilobytes"),
    "MB": ("megabyte", "megabytes"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "hPa": ("hectopascal", "hectopascals"),
}
LONGEST_FIRST = sorted(UNITS, key=len, reverse=True)
UNIT = re.compile(
    rf"(?<![\w.]){NUMBER}\s?(?P<unit>{'|'.join(map(re.escape, LONGEST_FIRST))})(?![\w/])"
)
DEGREES = re.compile(
    rf"(?P<minus>[-\u2212](?=\d))?(?<![\w.]){NUMBER}\s?\u00b0(?:\s?(?P<scale>[CFK])\b)?"
)
PERCENT = re.compile(rf"(?<![\w.]){NUMBER}\s?%")
SQUARE = re.compile(r"\b(?P<unit>km|cm|mm|m)(?P<power>[\u00b2\u00b3])")
POWERS = {"\u00b2": "square", "\u00b3": "cubic"}

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
ISO_DATE = re.compile(r"(?<![\w-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\w-])")
CLOCK = re.compile(
    r"(?<![\w:.])(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)(?![\w:])(?P<half>\s?[ap]\.?m\.?)?",
    re.IGNORECASE,
)
RANGE = re.compile(
    r"(?<![\w.,-])(?P<first>\d+(?:\.\d+)?)\s?[\u2013-]\s?(?P<last>\d+(?:\.\d+)?)(?![\w-]|\.\d)"
)
THOUSANDS = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?![\w,])")
BETWEEN_NUMBERS = re.compile(
    r"(?<=\d)\s?(?P<sign>[*\u00d7x/\u00f7])\s(?=\d)|(?<=\d)[*\u00d7](?=\d)"
)
SIGNS_SAID = {
    "*": "times",
    "\u00d7": "times",
    "x": "times",
    "/": "divided by",
    "\u00f7": "divided by",
}
WORDS = (
    (re.compile(r"(?<=\s)&(?=\s)"), "and"),
    (re.compile(r"(?<=\s)=(?=\s)"), "equals"),
    (re.compile(r"(?<=\s)[+](?=\s?\d)"), "plus"),
    (re.compile(r"(?<=\s)(?:->|=>|\u2192)(?=\s)"), "to"),
    (re.compile(r"(?<![\w])~\s?(?=\d)"), "about "),
    (re.compile(r"(?<![\w<])(?:<=|\u2264)\s?(?=\d)"), "at most "),
    (re.compile(r"(?<![\w>])(?:>=|\u2265)\s?(?=\d)"), "at least "),
    (re.compile(r"(?<![\w<])<\s?(?=\d)"), "less than "),
    (re.compile(r"(?<![\w>=-])>\s?(?=\d)"), "more than "),
    (re.compile(r"(?<!\w)#(?=\d)"), "number "),
    (re.compile(r"(?<=\d)\^(?=\d)"), " to the power of "),
    (re.compile(r"(?<![\w.,])(\d+)x(?!\w)"), r"\1 times"),
)

SHORT = (
    (r"\bMr\.(?=\s)", "Mister"),
    (r"\bMrs\.(?=\s)", "Missus"),
    (r"\bMs\.(?=\s)", "Miz"),
    (r"\bDr\.(?=\s)", "Doctor"),
    (r"\bProf\.(?=\s)", "Professor"),
    (r"\bSt\.(?=\s[A-Z])", "Saint"),
    (r"\bMt\.(?=\s[A-Z])", "Mount"),
    (r"\bJr\.", "Junior"),
    (r"\bSr\.", "Senior"),
    (r"\bNo\.(?=\s?\d)", "number"),
    (r"\b[Vv]ol\.(?=\s?\d)", "volume"),
    (r"\bpp?\.(?=\s?\d)", "page"),
    (r"\b[Ff]ig\.(?=\s?\d)", "figure"),
    (r"\bapprox\.", "approximately"),
    (r"\be\.g\.,?", "for example"),
    (r"\bi\.e\.,?", "that is"),
    (r"\betc\.", "and so on"),
    (r"\bvs\.?(?=\s)", "versus"),
)
SHORT_WORDS = tuple((re.compile(pattern), said) for pattern, said in SHORT)
"""Voices take the full stop of an abbreviation for the end of a sentence, and pause."""

SHORT_MONTH = re.compile(
    r"\b(?P<month>Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.(?=\s?\d{1,2}\b)"
)
HALF_OF_DAY = re.compile(r"(?<=\d)\s?(?P<half>[ap])\.m\.", re.IGNORECASE)
INITIALS = re.compile(r"\b(?:[A-Z]\.){2,}|\b[A-Z]\.(?=\s[A-Z])")
"""Of names, and such as U.S."""

YEAR = re.compile(
    rf"(?P<before>\b(?:[Ii]n|[Ss]ince|[Uu]ntil|[Bb]y|[Bb]efore|[Aa]fter|[Dd]uring|[Yy]ear|"
    rf"{'|'.join(MONTHS)})\s|\b(?:{'|'.join(MONTHS)})\s\d{{1,2}},\s)"
    r"(?P<century>1[1-9]|20)(?P<rest>\d\d)(?!\s?[%\w]|[.,]\d)(?![\w-])"
)
SLASHED_DATE = re.compile(
    r"(?<![\w/])(?P<first>\d{1,2})/(?P<second>\d{1,2})/(?P<year>\d{4})(?![\w/])"
)


def spell_out(text: str) -> str:
    """`text` as it is said; what has no rule stays as it is."""
    for pattern, words in SHORT_WORDS:
        text = pattern.sub(words, text)
    text = SHORT_MONTH.sub(month, text)
    text = ISO_DATE.sub(date, text)
    text = SLASHED_DATE.sub(slashed_date, text)
    text = YEAR.sub(year, text)
    text = CLOCK.sub(clock, text)
    text = HALF_OF_DAY.sub(lambda found: f" {found['half'].upper()}M", text)
    text = INITIALS.sub(lambda found: found[0].replace(".", " ").strip(), text)
    text = MONEY.sub(money, text)
    text = MONEY_AFTER.sub(money, text)
    text = DEGREES.sub(degrees, text)
    text = PERCENT.sub(lambda found: f"{found['number']} percent", text)
    text = SQUARE.sub(lambda found: f"{POWERS[found['power']]} {UNITS[found['unit']][1]}", text)
    text = UNIT.sub(unit, text)
    text = RANGE.sub(r"\g<first> to \g<last>", text)
    text = BETWEEN_NUMBERS.sub(operator, text)
    text = THOUSANDS.sub(lambda found: found[0].replace(",", ""), text)
    for pattern, words in WORDS:
        text = pattern.sub(words, text)
    return text.replace("*", " ")  # of no two numbers


def money(found: re.Match[str]) -> str:
    """An amount, its smaller coin where there are two places of it."""
    one, many, small_one, small_many = CURRENCIES[found["before"]]
    number = found["number"].replace(",", "")
    size = (found.groupdict().get("size") or "").lower()
    if size:
        return f"{number} {MAGNITUDES.get(size, size)} {many}"
    whole, _, rest = number.partition(".")
    if len(rest) == 2 and small_one:
        said = [] if whole == "0" else [f"{whole} {one if whole == '1' else many}"]
        if int(rest):
            said.append(f"{int(rest)} {small_one if int(rest) == 1 else small_many}")
        return " and ".join(said) or f"0 {many}"
    return f"{number} {one if number == '1' else many}"


def unit(found: re.Match[str]) -> str:
    """A number and its unit."""
    number = found["number"]
    return f"{number} {UNITS[found['unit']][number != '1']}"


def degrees(found: re.Match[str]) -> str:
    """A temperature, or an angle."""
    minus = "minus " if found["minus"] else ""
    number = found["number"]
    said = f"{minus}{number} {'degree' if number == '1' else 'degrees'}"
    scale = {"C": " Celsius", "F": " Fahrenheit", "K": " Kelvin"}
    return said + scale.get(found["scale"] or "", "")


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


def operator(found: re.Match[str]) -> str:
    """A sign between two numbers."""
    sign = found["sign"] or found[0].strip()
    return f" {SIGNS_SAID[sign]} "
