"""English number words: from numbers, to numbers, and as templates for a range of numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.assistant.templates import EMPTY, Alternative, Node, Sequence, Text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as Words

_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
          "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
          "eighteen", "nineteen")  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {
    word: value * 10 for value, word in enumerate(_TENS) if word
}
_SCALES = {"thousand": 1_000, "million": 1_000_000}
LARGEST = 999_999_999

_BLANK = Text(" ")


def number_words(number: int) -> str:
    """Write a whole number in words: 105 is `one hundred and five`, -3 is `minus three`.

    Raises `ValueError` beyond plus or minus `LARGEST`.
    """
    if number < 0:
        return f"minus {number_words(-number)}"
    if number > LARGEST:
        raise ValueError(f"{number} is too large to be written in words")
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens, unit = divmod(number, 10)
        return f"{_TENS[tens]} {_UNITS[unit]}" if unit else _TENS[tens]
    if number < 1_000:
        return _joined(f"{_UNITS[number // 100]} hundred", number % 100)
    for word, scale in (("million", 1_000_000), ("thousand", 1_000)):
        if number >= scale:
            return _joined(f"{number_words(number // scale)} {word}", number % scale)
    raise AssertionError(number)


def decimal_words(digits: str) -> str:
    """Write a plain decimal number (`12`, `2.50`) in words; the fraction digit by digit."""
    whole, _, fraction = digits.partition(".")
    words = number_words(int(whole or "0"))
    if fraction:
        words += " point " + " ".join(_UNITS[int(digit)] for digit in fraction)
    return words


def parse_number(words: Words[str]) -> int | float | None:
    """Read number words, as `number_words` and `decimal_words` write them, or None.

    `a hundred` counts as one hundred, and the `and` inside a number may be missing.
    """
    whole, fraction = list(words), list[str]()
    if "point" in whole:
        cut = whole.index("point")
        whole, fraction = whole[:cut], whole[cut + 1 :]
        if not fraction or any(_VALUES.get(word, 10) > 9 for word in fraction):
            return None
    total = group = 0
    if not whole:
        return None
    for word in whole:
        if word == "and":
            continue
        if word == "a":
            group += 1
        elif word in _VALUES:
            group += _VALUES[word]
        elif word == "hundred":
            group *= 100
        elif word in _SCALES:
            total += group * _SCALES[word]
            group = 0
        else:
            return None
    number = total + group
    if not fraction:
        return number
    value = float(f"{number}." + "".join(str(_VALUES[word]) for word in fraction))
    return int(value) if value.is_integer() else value


def number_template(first: int, last: int, step: int = 1, *, decimals: bool = False) -> Node:
    """A template for the numbers from `first` to `last` in words.

    Up to 120 numbers it holds exactly these; a longer range is rounded up to all numbers of
    that many thousands, so whoever uses it checks the value. `decimals` allows one or two
    digits after `point`.
    """
    if (last - first) // step < 120 and last < 1_000:
        spoken = [_variants(number) for number in range(first, last + 1, step)]
        node: Node = _words_tree(words for variants in spoken for words in variants)
    else:
        node = _any_number(last)
    if decimals:
        digit = Alternative(tuple(Text(unit) for unit in _UNITS[:10]))
        second = Alternative((Sequence((_BLANK, digit)), EMPTY))
        fraction = Sequence((Text(" point "), digit, second))
        node = Sequence((node, Alternative((fraction, EMPTY))))
    return node


def _joined(words: str, rest: int) -> str:
    if not rest:
        return words
    return f"{words} and {number_words(rest)}" if rest < 100 else f"{words} {number_words(rest)}"


def _variants(number: int) -> list[list[str]]:
    words = number_words(number)
    variants = [words]
    if " and " in words:
        variants.append(words.replace(" and ", " "))
    if words.startswith("one hundred"):
        variants += ["a" + variant[3:] for variant in variants]
    return [variant.split() for variant in variants]


def _words_tree(sequences: Iterable[list[str]]) -> Node:
    """A template of exactly these word sequences, with common beginnings shared."""
    branches: dict[str, list[list[str]]] = {}
    ends = False
    for words in sequences:
        if words:
            branches.setdefault(words[0], []).append(words[1:])
        else:
            ends = True
    plain: list[Node] = []
    shared: dict[Node, list[Node]] = {}
    for word, rest in branches.items():
        if rest == [[]]:
            plain.append(Text(word))
        else:
            shared.setdefault(_words_tree(rest), []).append(Text(word))
    # Words with the same continuation (twenty, thirty, …) share one copy of it.
    items = plain + [
        Sequence((Alternative(tuple(heads)), _continued(rest))) for rest, heads in shared.items()
    ]
    heads_of = [1] * len(plain) + [len(heads) for heads in shared.values()]
    # Each first word is as likely as another; that a number is over, as that it goes on. So
    # round numbers, which people say more often, are the likelier ones.
    share = 0.5 if ends else 1.0
    weights = [share * count / sum(heads_of) for count in heads_of]
    if ends:
        return Alternative((*items, EMPTY), (*weights, 0.5))
    return Alternative(tuple(items), tuple(weights))


def _continued(rest: Node) -> Node:
    if isinstance(rest, Alternative) and EMPTY in rest.items:
        words = Alternative(rest.items[:-1], tuple(2 * weight for weight in rest.weights[:-1]))
        return Alternative((Sequence((_BLANK, words)), EMPTY))
    return Sequence((_BLANK, rest))


def _any_number(last: int) -> Node:
    below_100 = _words_tree(_variants(number)[0] for number in range(1, 100))
    digit = Alternative(tuple(Text(unit) for unit in _UNITS[1:10]))
    conjunction = Alternative((Text(" and "), _BLANK))
    tail = Alternative((Sequence((conjunction, below_100)), EMPTY))
    one = Alternative((digit, Text("a")))
    hundreds = Sequence((one, Text(" hundred"), tail))
    below_1000 = Alternative((below_100, hundreds))
    after_thousand = Alternative((tail, Sequence((_BLANK, digit, Text(" hundred"), tail))))
    if last < 1_000:
        return Alternative((Text("zero"), below_1000))
    count = one if last < 10_000 else Alternative((below_1000, Text("a")))
    thousands = Sequence((count, Text(" thousand"), after_thousand))
    return Alternative((Text("zero"), below_1000, thousands))
