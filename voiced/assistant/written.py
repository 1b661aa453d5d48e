"""Between what is typed and what is said: `12*7?` is `twelve times seven`, and back."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from voiced.assistant.numerals import decimal_words

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUOTES = str.maketrans({"\N{RIGHT SINGLE QUOTATION MARK}": "'", "`": "'", "\N{MINUS SIGN}": "-"})
_TOKEN = re.compile(
    r"""
    (?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)
  | (?P<minus>-(?=\s*\d))
  | (?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
  | (?P<symbol>\S)
    """,
    re.VERBOSE,
)
_IGNORED = frozenset(".,;:!?¿¡'\"-_\N{HORIZONTAL ELLIPSIS}\N{EN DASH}\N{EM DASH}"
                     "\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}")  # fmt: skip
_LONGEST_NUMBER = 9  # digits


def spoken_words(text: str, written: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The words, lower case, that a person would say for `text`.

    `written` maps symbols and abbreviations to words. Numbers become words, punctuation goes,
    a minus before a number is said, and an `x` between numbers is the sign `*`.
    """
    clean = unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold()
    clean = re.sub(r"(?<=\d)\s*x\s*(?=-?\d)", " * ", clean)
    words: list[str] = []
    for match in _TOKEN.finditer(clean):
        token, kind = match[0], match.lastgroup
        if kind == "number":
            digits = token.replace(",", "")
            whole = digits.partition(".")[0]
            words += [digits] if len(whole) > _LONGEST_NUMBER else decimal_words(digits).split()
        elif kind == "minus":
            words.append("minus")
        elif token in written:
            words += written[token]
        elif kind == "word" or token not in _IGNORED:
            words.append(token)
    return words
