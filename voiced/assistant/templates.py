"""The syntax of sentence templates: hassil's, parsed into a tree.

`turn (on|off) [the] {device}`: round brackets group, `|` separates alternatives, `;` parts that
may come in any order, square brackets are optional, `{list:slot}` takes a value from a list
into a slot, `<rule>` inserts a rule, and a backslash takes the next character as it is.

Only the syntax is here, so that an engine's process need not import hassil's recogniser, number
formatting and XML; the tests hold this parser and hassil's own against each other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

_SPECIAL = "()[]{}<>|;"
_CLOSING = {"(": ")", "[": "]"}
_REFERENCE = re.compile(r"[A-Za-z0-9_]+")
_INLINE_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:,(\d+))?")


class TemplateError(ValueError):
    """A template that cannot be parsed or used. The text says what is wrong and where."""


class Text(msgspec.Struct, frozen=True):
    """Literal characters, lower case; blanks in them separate words."""

    text: str


class Sequence(msgspec.Struct, frozen=True):
    """One item after the other."""

    items: tuple[Node, ...]


class Alternative(msgspec.Struct, frozen=True):
    """Exactly one of the items; an empty sequence among them makes it optional.

    `weights` say how likely each is, and add up to 1; without them all are alike.
    """

    items: tuple[Node, ...]
    weights: tuple[float, ...] = ()


class Permutation(msgspec.Struct, frozen=True):
    """All items, in any order."""

    items: tuple[Node, ...]


class ListReference(msgspec.Struct, frozen=True):
    """A value from the list `name`, kept in the slot `slot`."""

    name: str
    slot: str

    @property
    def inline_range(self) -> tuple[int, int, int] | None:
        """First, last and step of a range written in place (`{1..5:slot}`)."""
        match = _INLINE_RANGE.fullmatch(self.name)
        return (int(match[1]), int(match[2]), int(match[3] or 1)) if match else None


class RuleReference(msgspec.Struct, frozen=True):
    """The rule `name` in this place."""

    name: str


Node = Text | Sequence | Alternative | Permutation | ListReference | RuleReference

EMPTY = Sequence(())


def parse_template(text: str) -> Node:
    """Parse one template. Raises `TemplateError` naming the column, counted from 1."""
    parser = _Parser(text)
    node = parser.group("")
    if parser.position < len(text):
        raise parser.error(f"unexpected {text[parser.position]!r}")
    if node == EMPTY:
        raise TemplateError("the sentence is empty")
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def error(self, message: str, position: int | None = None) -> TemplateError:
        column = (self.position if position is None else position) + 1
        return TemplateError(f"{message} at column {column} of {self.text!r}")

    def group(self, opening: str) -> Node:
        """Parse up to the bracket that closes `opening`, or to the end where it is empty."""
        start = self.position - 1
        branches: list[list[Node]] = [[]]
        separator = ""
        while self.position < len(self.text):
            character = self.text[self.position]
            if character in ")]":
                break
            if character in "|;":
                if separator not in ("", character):
                    raise self.error("'|' and ';' in one group need brackets")
                separator = character
                branches.append([])
                self.position += 1
            else:
                branches[-1].append(self.item(character))
        if opening:
            if self.text[self.position : self.position + 1] != _CLOSING[opening]:
                raise self.error(f"{opening!r} is not closed", start)
            self.position += 1
        items = tuple(_sequence(branch) for branch in branches)
        if opening == "[":
            inner = Permutation(items) if separator == ";" else None
            return Alternative((inner, EMPTY) if inner else (*items, EMPTY))
        if separator == ";":
            return Permutation(items)
        return Alternative(items) if separator else items[0]

    def item(self, character: str) -> Node:
        if character in _CLOSING:
            self.position += 1
            return self.group(character)
        if character == "{":
            name, _, slot = self.enclosed("}").partition(":")
            known = _REFERENCE.fullmatch(name) or _INLINE_RANGE.fullmatch(name)
            if not known or (slot and not _REFERENCE.fullmatch(slot)):
                raise self.error("a list is written {name} or {name:slot}")
            return ListReference(name, slot or name)
        if character == "<":
            name = self.enclosed(">")
            if not _REFERENCE.fullmatch(name):
                raise self.error("a rule is written <name>")
            return RuleReference(name)
        if character in "}>":
            raise self.error(f"unexpected {character!r}")
        return self.literal()

    def enclosed(self, closing: str) -> str:
        start = self.position
        end = self.text.find(closing, start)
        if end < 0:
            raise self.error(f"{self.text[start]!r} is not closed")
        self.position = end + 1
        return self.text[start + 1 : end]

    def literal(self) -> Node:
        taken: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "\\":
                self.position += 1
                character = self.text[self.position : self.position + 1]
                if not character:
                    raise self.error("a backslash stands before a character")
            elif character in _SPECIAL:
                break
            taken.append(character)
            self.position += 1
        text = "".join(taken).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        text = text.replace("-", " ")  # as in typed text, a hyphen parts words
        for character in text:
            if not (character.isalpha() or character.isspace() or character == "'"):
                raise TemplateError(
                    f"{character!r} is not how it is said: a sentence is made of letters, with"
                    " numbers in words"
                )
        return Text(text)


def slots_of(node: Node, rules: Mapping[str, Node]) -> set[str]:
    """The names of all slots in a template whose rules are known and hold no circle."""
    match node:
        case ListReference(slot=slot):
            return {slot}
        case RuleReference(name):
            return slots_of(rules[name], rules)
        case Sequence(items) | Alternative(items) | Permutation(items):
            return {slot for item in items for slot in slots_of(item, rules)}
    return set()


def _sequence(items: list[Node]) -> Node:
    if len(items) == 1:
        return items[0]
    return Sequence(tuple(items))
