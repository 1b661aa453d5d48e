"""Items and responses as a client comes to know them, event by event."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

ROUNDING_MS = 1
"""Truncation counts whole milliseconds: a clause cut by less was heard to its end."""


@dataclass
class SeenClause:
    """A clause of a spoken reply: its words, and how much of its audio went out."""

    words: list[str]
    sent_ms: Fraction = Fraction(0)
    whole_ms: Fraction = Fraction(0)


@dataclass
class SeenItem:
    """An item as a client has it, with the words that were said in it.

    `role` of an item that is no message is its type; `text` is then the arguments or the output.
    `open` is what was opened in it and not closed; `own` names what the daemon's own tools were
    asked in the response that made a call.
    """

    role: str
    status: str
    words: list[str] = field(default_factory=list)
    clauses: list[SeenClause] = field(default_factory=list)
    heard_ms: Fraction | None = None
    transcribing: bool = False
    open: list[str] = field(default_factory=list)
    name: str = ""
    call_id: str = ""
    text: str = ""
    own: list[str] = field(default_factory=list)

    def known_words(self) -> list[str]:
        """The words that reached the other side: those whose time was played to the end."""
        if not self.clauses:
            return self.words
        if self.status == "completed" and self.heard_ms is None:
            return [word for clause in self.clauses for word in clause.words]
        sent = sum((clause.sent_ms for clause in self.clauses), Fraction(0))
        left = sent if self.heard_ms is None else self.heard_ms
        known: list[str] = []
        for clause in self.clauses:
            if left < ROUNDING_MS:
                break
            reached = min(left, clause.sent_ms)
            length = max(clause.sent_ms, clause.whole_ms)
            count = len(clause.words)
            for number, word in enumerate(clause.words, 1):
                missing = length * Fraction(number, count) - reached
                if missing < (ROUNDING_MS if number == count else Fraction(1, 10**6)):
                    known.append(word)
            left -= clause.sent_ms
        return known


@dataclass
class SeenSummary:
    """The words that stand for some items."""

    words: list[str]
    item_ids: set[str]


@dataclass
class SeenResponse:
    """A response as a client follows it."""

    created: Any
    session: dict[str, Any]
    overrides: dict[str, Any]
    context: list[SeenItem] | None = None
    outputs: dict[str, SeenItem] = field(default_factory=dict)
    aborted: bool = False
    done: bool = False

    @property
    def item(self) -> SeenItem | None:
        """The message that it puts out."""
        return next((item for item in self.outputs.values() if item.role == "assistant"), None)

    @property
    def item_id(self) -> str | None:
        """The id of that message."""
        return next((key for key, item in self.outputs.items() if item is self.item), None)

    @property
    def calls(self) -> list[SeenItem]:
        """The calls that it puts out."""
        return [item for item in self.outputs.values() if item.role == "function_call"]

    def wants(self, name: str, otherwise: Any) -> Any:  # noqa: ANN401 - any field of a response
        """A field as the client overrides it, or as the session has it."""
        return self.overrides.get(name, self.session.get(name, otherwise))
