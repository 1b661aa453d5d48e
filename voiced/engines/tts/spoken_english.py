"""Money, units, ranges, signs and abbreviations as English says them. Pure: text in, text out.

Numbers themselves stay digits, without the marks between their thousands; voices read them.
"""

from __future__ import annotations

import re

from voiced.engines.tts.english_times import spell_times

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
    "MB/s": ("megabyte per second", "megabytes per second"),
    "Mbit/s": ("megabit per second", "megabits per second"),
    "GB": ("gigabyte", "gigabytes"),
    "TB": ("terabyte", "terabytes"),
    "hPa": ("hectopascal", "hectopascals"),
}
LONGEST_FIRST = sorted(UNITS, key=len, reverse=True)
UNIT = re.compile(
    rf"(?<![\w.]){NUMBER}\s?(?P<unit>{'|'.join(map(re.escape, LONGEST_FIRST))})(?![\w/])"
    r"(?:\.(?=\s[a-z\d]))?"  # "5 min. of rest"
)
EUROPEAN = re.compile(r"(?<![\w.,])(?P<whole>\d{1,3}(?:\.\d{3})+),(?P<rest>\d{1,2})(?![\w.,]*\d)")
COMMA = re.compile(
    rf"(?<![\w.,])(?P<whole>\d+),(?P<rest>\d{{1,2}})"
    rf"(?=\s?(?:%|\u00b0|[{SIGNS}]|(?:{'|'.join(map(re.escape, LONGEST_FIRST))})(?![\w/])))"
    rf"|(?<=[{SIGNS}])(?P<coins>\d+),(?P<small>\d\d)(?![\w.,]*\d)"
)
"""A comma before the decimals: 1.250,50 has two marks, and 1,5 km is no list."""
DEGREES = re.compile(
    rf"(?:(?<![\w.])(?P<minus>[-\u2212]))?(?<![\w.]){NUMBER}\s?\u00b0(?:\s?(?P<scale>[CFK])\b)?"
)
PERCENT = re.compile(rf"(?<![\w.]){NUMBER}\s?%")
SQUARE = re.compile(r"\b(?P<unit>km|cm|mm|m)(?P<power>[\u00b2\u00b3])")
POWERS = {"\u00b2": "square", "\u00b3": "cubic"}

RANGE = re.compile(
    r"(?<![\w.,-])(?P<first>\d+(?:\.\d+)?)\s?[\u2013-]\s?(?P<last>\d+(?:\.\d+)?)(?![\w-]|\.\d)"
)
MONEY_RANGE = re.compile(
    rf"(?P<sign>[{SIGNS}])(?P<first>\d+(?:\.\d+)?)\s?[\u2013-]\s?[{SIGNS}]?(?=\d)"
)
UNIT_RANGE = re.compile(r"(?<=\d)(?P<unit>\s?(?:\u00b0\s?[CFK]?|%))\s?[\u2013-]\s?(?=\d)")
PHONE = re.compile(
    r"(?<![\w-])(?:\+?\d{1,3}[-. ])?(?:\(\d{3}\)[ -]?|\d{3}[-.])?\d{3}-\d{4}(?![\w-])"
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
    (r"\b[Cc]h\.(?=\s?\d)", "chapter"),
    (r"\bapprox\.", "approximately"),
    (r"\be\.g\.,?", "for example"),
    (r"\bi\.e\.,?", "that is"),
    (r"\betc\.", "and so on"),
    (r"\bvs\.?(?=\s)", "versus"),
)
SHORT_WORDS = tuple((re.compile(pattern), said) for pattern, said in SHORT)
"""Voices take the full stop of an abbreviation for the end of a sentence, and pause."""

INITIALS = re.compile(r"\b(?:[A-Z]\.){2,}|(?<![\d\u00b0])(?<!\d\s)\b[A-Z]\.(?=\s[A-Z])")
"""Of names, and such as U.S.; a letter behind a number is a unit."""


def spell_out(text: str) -> str:
    """`text` as it is said; what has no rule stays as it is."""
    ends = text.rstrip(" ").endswith(".")
    for pattern, words in SHORT_WORDS:
        text = pattern.sub(words, text)
    text = PHONE.sub(phone, text)
    text = spell_times(text)
    text = INITIALS.sub(lambda found: found[0].replace(".", " ").strip(), text)
    text = EUROPEAN.sub(decimal, text)
    text = COMMA.sub(decimal, text)
    text = MONEY_RANGE.sub(r"\g<first> to \g<sign>", text)
    text = UNIT_RANGE.sub(r"\g<unit> to ", text)
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
    text = text.replace("*", " ").rstrip()  # of no two numbers
    # The full stop of an abbreviation that ends a sentence is that of the sentence too.
    return f"{text}." if ends and text[-1:].isalnum() else text


def decimal(found: re.Match[str]) -> str:
    """A number as English writes it."""
    groups = found.groupdict()
    if groups.get("coins"):
        return f"{groups['coins']}.{groups['small']}"
    return f"{found['whole'].replace('.', '')}.{found['rest']}"


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


def phone(found: re.Match[str]) -> str:
    """A telephone number, digit by digit, with the pauses that were written."""
    groups = re.findall(r"\d+", found[0])
    plus = "plus " if found[0].startswith("+") else ""
    return plus + ", ".join(" ".join(group) for group in groups)


def operator(found: re.Match[str]) -> str:
    """A sign between two numbers."""
    sign = found["sign"] or found[0].strip()
    return f" {SIGNS_SAID[sign]} "
