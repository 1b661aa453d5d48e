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
    (re.compile(r"\be\.g\.,?"), "for example"),
    (re.compile(r"\bi\.e\.,?"), "that is"),
    (re.compile(r"\betc\."), "and so on"),
    (re.compile(r"\bvs\.?(?=\s)"), "versus"),
)


def spell_out(text: str) -> str:
    """`text` as it is said; what has no rule stays as it is."""
    text = ISO_DATE.sub(date, text)
    text = CLOCK.sub(clock, text)
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
    return text


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
