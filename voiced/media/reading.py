"""A long text, plain or in Markdown, as it is read aloud: paragraph by paragraph, sentence by
sentence. Pure.

Lines of a paragraph belong together, however they were wrapped; titles, items of lists and rows of
tables are paragraphs of their own. What is for the eye alone (code, rules, comments, what stands in
front of the text for programs) is left out here where it takes lines, and else by
`voiced.engines.tts.spoken`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from voiced.engines.tts.spoken import RULE, TABLE_RULE
from voiced.engines.tts.text import ClauseSplitter

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHARACTERS: Final = 800
"""Of one sentence, about a minute of speech: a longer one is cut at a pause. A fifth of what an
engine takes at once, since units and the like are spelled out."""

_STEP: Final = 2_048

_FENCE = re.compile(r"\s{0,3}(?P<mark>`{3,}|~{3,})")
_HEADING = re.compile(r"\s{0,3}#{1,6}(?:\s|$)")
_UNDERLINE = re.compile(r"\s{0,3}(?:=+|-+)\s*$")
_ITEM = re.compile(r"\s*(?:[-*+\u2022]|\d{1,3}[.)])\s+\S")
_ROW = re.compile(r"\s*\|")
_QUOTE = re.compile(r"(?:\s{0,3}>\s?)+")
_DEFINITION = re.compile(r"\s{0,3}\[[^\]\n]{1,200}\]:\s+\S+")
_FRONT = re.compile(r"---[ \t]*\n(?=[\w-]+:)(?:[^\n]*\n){0,200}?(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_SENTENCE_END = re.compile(r"[.!?…:;。！？][\"')\]*_~`\u2019\u201d\u00bb]*\s*\Z")  # noqa: RUF001


class Sentence(Struct, frozen=True):
    """What is said in one breath or a few, as it was written, on one line.

    `done` is the share of the text that lies behind it; `ends` what it is the last of.
    """

    text: str
    done: float
    ends_paragraph: bool


def read_sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text, in order; the same ones each time."""
    size = max(1, len(text))
    for paragraph, end in _paragraphs(_prepared(text)):
        sentences = list(_sentences(paragraph))
        for number, sentence in enumerate(sentences, 1):
            yield Sentence(sentence, min(1.0, end / size), number == len(sentences))


def _prepared(text: str) -> str:
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT.match(text)
    return _without_comments(text if front is None else _lines_of(front[0]) + text[front.end() :])


def _without_comments(text: str) -> str:
    kept: list[str] = []
    end = 0
    while (start := text.find("<!--", end)) >= 0 and (close := text.find("-->", start)) >= 0:
        kept += (text[end:start], _lines_of(text[start:close]))
        end = close + 3
    return "".join((*kept, text[end:]))


def _lines_of(text: str) -> str:
    """Lines stay lines, so that what stood around it is not joined."""
    return "\n" * text.count("\n")


def _paragraphs(text: str) -> Iterator[tuple[str, int]]:
    """Each paragraph on one line, and where in the text it ends."""
    lines: list[str] = []
    fence = ""
    place = 0

    def flush() -> Iterator[tuple[str, int]]:
        if lines:
            yield " ".join(lines), place
            lines.clear()

    for raw in text.split("\n"):
        line = _QUOTE.sub("", raw, count=1) if _QUOTE.match(raw) else raw
        stripped = line.strip()
        if fence:
            fence = "" if _closes(stripped, fence) else fence
        elif found := _FENCE.match(line):
            yield from flush()
            fence = found["mark"]
        elif not stripped or _is_mark_only(line, follows_text=bool(lines)):
            yield from flush()
        elif _stands_alone(line):
            yield from flush()
            yield stripped, place + len(raw)
        elif _ITEM.match(line):
            yield from flush()
            lines.append(stripped)
        else:
            lines.append(stripped)
        place += len(raw) + 1
    yield from flush()


def _closes(line: str, fence: str) -> bool:
    return line.startswith(fence) and not line.strip(fence[0])


def _is_mark_only(line: str, *, follows_text: bool) -> bool:
    """A rule, the line under a title or under the head of a table, or the target of a link."""
    if follows_text and _UNDERLINE.match(line):
        return True
    return any(form.fullmatch(line) for form in (RULE, TABLE_RULE)) or bool(_DEFINITION.match(line))


def _stands_alone(line: str) -> bool:
    return bool(_HEADING.match(line) or _ROW.match(line))


def _sentences(paragraph: str) -> Iterator[str]:
    joined = ""
    for clause in _clauses(paragraph):
        if joined and len(joined) + len(clause) > MOST_CHARACTERS:
            yield joined.strip()
            joined = ""
        joined += clause
        if _SENTENCE_END.search(joined):
            yield joined.strip()
            joined = ""
    if joined.strip():
        yield joined.strip()


def _clauses(paragraph: str) -> Iterator[str]:
    """In steps: a paragraph may be a book, and whoever walks along it has others to serve."""
    splitter = ClauseSplitter()
    for start in range(0, len(paragraph), _STEP):
        yield from splitter.feed(paragraph[start : start + _STEP])
    yield from splitter.flush()
