"""Text for the ear: cut a streamed reply into clauses that can be spoken one by one."""

from __future__ import annotations

import re

FIRST_CLAUSE_CHARS = 12
"""A first clause may be this short, so that the voice begins early."""

CLAUSE_CHARS = 40
LONGEST_CHARS = 300
"""About 20 s of speech: bounds the audio that one request makes."""

# A run of marks is looked at from its start only, and as a whole: no search within it.
BREAK = re.compile(r"(?<![.!?…])[.!?…]++[\"')\]]*+(?=\s)|[,;:](?=\s)|\n")
ABBREVIATION = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|Sr|Jr|St|Inc|Ltd|Fig|vs|etc|approx|e\.g|i\.e|a\.m|p\.m|No|[A-Z])\.$"
)
LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]*\d{1,3}[.)]\s*$")
"""The number in front of a line of a list is no sentence of its own."""

_SEEN_CHARS = LONGEST_CHARS + 1  # a longest clause, and the blank that ends it
_ABBREVIATION_CHARS = 8  # more than the longest has
_NUMBER_CHARS = 12


class ClauseSplitter:
    """Feed deltas, get clauses. Nothing is lost: the clauses add up to the text.

    A clause ends at punctuation followed by white space, so never inside `3.5`, `12:30` or
    `example.org`, nor after an abbreviation; a sentence end always counts, a comma only when
    the clause is long enough to be worth a breath. The cost is linear in the text, with or
    without punctuation, and each delta looks at a longest clause again.
    """

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, delta: str) -> list[str]:
        """The clauses that are complete after this delta."""
        self._text += delta
        clauses = []
        begin = 0
        while (clause := self._find_clause(self._text[begin : begin + _SEEN_CHARS])) is not None:
            clauses.append(clause)
            begin += len(clause)
            self._first = False
        self._text = self._text[begin:]
        return clauses

    def flush(self) -> list[str]:
        """What is left at the end of the text."""
        rest, self._text = self._text, ""
        return [rest] if rest else []

    def _find_clause(self, seen: str) -> str | None:
        """The first clause of the next `_SEEN_CHARS` of text, or of what there is."""
        shortest = FIRST_CLAUSE_CHARS if self._first else CLAUSE_CHARS
        for found in BREAK.finditer(seen):
            end = found.end()
            if end > LONGEST_CHARS:
                break
            if found[0][0] in ".!?…\n":
                if not (
                    ABBREVIATION.search(seen, max(0, end - _ABBREVIATION_CHARS), end)
                    or LIST_NUMBER.search(seen[max(0, end - _NUMBER_CHARS) : end])
                ):
                    return seen[:end]
            elif end >= shortest:
                return seen[:end]
        if len(seen) > LONGEST_CHARS:
            space = seen.rfind(" ", 1, LONGEST_CHARS)
            return seen[: space if space > 0 else LONGEST_CHARS]
        return None
