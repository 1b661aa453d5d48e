"""What a voice is given to say: the words of a reply, without the marks that are for the eye.

Language models write Markdown, emoji and code, and no voice can say these. `SpokenText` takes a
reply clause by clause and gives what is to be heard of each; the transcript keeps what was
written. Plain numbers, ordinals and times stay as they are: the engines' phonemizers read them
in the voice's own language. Money, units, dates, years and abbreviations, which they read wrongly,
are spelled out where the language has rules for them here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from voiced.engines.tts import spoken_english

if TYPE_CHECKING:
    from collections.abc import Callable

FENCE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE)
TABLE_RULE = re.compile(r"^[ \t]*\|?(?:[ \t]*:?-{3,}:?[ \t]*\|)+[ \t]*:?-*:?[ \t]*$", re.MULTILINE)
RULE = re.compile(r"^[ \t]*(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$", re.MULTILINE)
LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>(?!=)[ \t]?|[-*+\u2022][ \t]+)+", re.MULTILINE)
TABLE_ROW = re.compile(r"^[ \t]*\|(?P<cells>[^\n]*?)\|?[ \t]*$", re.MULTILINE)
IMAGE_OR_LINK = re.compile(r"!?\[(?P<text>[^\[\]\n]{0,300})\]\([^()\s]{0,500}\)")
TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9]{0,15}(?:\s[^<>\n]{0,200})?/?>")
ADDRESS = re.compile(
    r"\b(?:https?://|www\.)(?P<host>[\w.-]{1,253}\w)(?::\d+)?"
    r"(?:[/?#](?:[^\s<>\"')\]]*[^\s<>\"')\].,;:!?])?)?"
)
MAIL = re.compile(r"\b(?P<name>[\w.+-]{1,64})@(?P<host>[\w-]{1,63}(?:\.[\w-]{1,63})+)\b")
EMPHASIS = re.compile(
    r"(?<!\d)\*{1,3}(?=\S)|(?<=\S)\*{1,3}(?!\d)|~~|`+|(?<![\w/])_{1,3}(?=[\w\"'(])|(?<=[\w.,;:!?\u2026\"')])_{1,3}(?!\w)"
)
"""Marks around words; what is left of a pair whose other half is in another clause too."""

NOTE_NUMBER = re.compile(r"(?<=[\w.,;:!?\"')])\[\d{1,3}\]")
"""The number of a footnote."""

LEFT_OVER = re.compile(r"[|\[\]{}\\]|(?<!\S)#+(?!\S)|(?<!\d)(?<!\d\s)\*|\*(?!\s?\d)")
"""Marks of no pair, and those of a table or a title in the middle of a line."""

SPACES = re.compile(r"[^\S\n]+")
LINES = re.compile(r"\s*\n\s*")

SAID = frozenset("\u00b0\u00a9\u00ae\u2122\u2030%")
"""Symbols of Unicode's class "other" that voices can say."""

JOINERS = frozenset("\u200b\u200d\u20e3\ufe0e\ufe0f")
"""Invisible parts of emoji."""

LANGUAGES: dict[str, Callable[[str], str]] = {"en": spoken_english.spell_out}
"""By ISO 639-1 code: what spells out money, units and dates in that language."""


LANGUAGE = re.compile(r"(?P<code>[a-z]{2})(?=[-_+]|$)|(?P<long>cmn|yue|grc|fil|haw|nci|pap|sjn)\b")
"""How the names of voices begin: `en-us`, `de+f3`, `en_GB-alan-low`. Not every word of three
letters is a language: `amy-low`."""


class SpokenText:
    """Gives what is to be heard of one reply, clause by clause, in order.

    The language is that of `voice`, where its name begins with one, else `language`. Code
    between fences is left out, also where the fences are in different clauses. The cost is linear
    in the text.
    """

    def __init__(self, voice: str, language: str) -> None:
        found = LANGUAGE.match(voice.lower()) or LANGUAGE.match(language.lower())
        self._spell_out = LANGUAGES.get(found["code"] or "") if found else None
        self._in_code = False

    def clause(self, text: str) -> str:
        """The words of the next clause; "" where there is nothing to say in it."""
        heard = self._without_code(text)
        for mark in (TABLE_RULE, RULE, LINE_MARK):
            heard = mark.sub("", heard)
        heard = TABLE_ROW.sub(row, heard)
        heard = IMAGE_OR_LINK.sub(r"\g<text>", heard)
        heard = TAG.sub(" ", heard)
        heard = MAIL.sub(mail, heard)
        heard = ADDRESS.sub(address, heard)
        heard = LEFT_OVER.sub(" ", NOTE_NUMBER.sub("", EMPHASIS.sub("", heard)))
        heard = "".join(map(audible, heard))
        if self._spell_out is not None:
            heard = self._spell_out(heard)
        heard = LINES.sub("\n", SPACES.sub(" ", heard)).strip()
        return heard if any(character.isalnum() for character in heard) else ""

    def _without_code(self, text: str) -> str:
        pieces = FENCE.split(text)
        kept = []
        for number, piece in enumerate(pieces):
            if number:
                self._in_code = not self._in_code
            if not self._in_code:
                kept.append(piece)
        return "\n".join(kept)


def audible(character: str) -> str:
    """The character, or nothing for a pictograph and a space for a control."""
    if character in SAID or character.isascii():
        return character
    if character in JOINERS:
        return ""
    kind = unicodedata.category(character)
    if kind in {"So", "Sk", "Cn", "Co"}:
        return " "
    return character


def row(found: re.Match[str]) -> str:
    """A row of a table, read as a list."""
    cells = (cell.strip() for cell in found["cells"].split("|"))
    return ", ".join(cell for cell in cells if cell) + "."


def address(found: re.Match[str]) -> str:
    """An address on the web: its host, since nobody types a path from memory."""
    return dotted(found["host"].removeprefix("www."))


def mail(found: re.Match[str]) -> str:
    """An address of mail, as one says it."""
    return f"{dotted(found['name'])} at {dotted(found['host'])}"


def dotted(name: str) -> str:
    """A name with dots, its dots said."""
    return name.replace(".", " dot ")
