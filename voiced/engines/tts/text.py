"""Text for the ear: cut a streamed reply into clauses that can be spoken one by one."""

from __future__ import annotations

import re

from voiced.engines.tts.abbreviations import goes_on

FIRST_CLAUSE_CHARS = 12
"""A first clause may be this short, so that the voice begins early."""

FIRST_WORDS_CHARS = 40
"""A first clause this long without a mark ends before the next conjunction: the time to the first
sound grows with its length."""

CLAUSE_CHARS = 40
LONGEST_CHARS = 300
"""About 20 s of speech: bounds the audio that one request makes."""

LONGEST_ADDRESS_CHARS = 2_000
"""Of an address nothing but its host is said, so it may make a clause longer."""

SPAN_CHARS = 200

# What is said as one: code and links, whose marks are no ends, and addresses. Where the text ends
# within one, what follows decides.
_SPANS = (
    rf"`[^`\n]{{1,{SPAN_CHARS}}}(?:`|\Z)",
    rf"\[[^\[\]\n]{{0,{SPAN_CHARS}}}(?:\](?:\([^()\s]{{0,{SPAN_CHARS}}}(?:\)|\Z))?|\Z)",
    r"(?:https?://|www\.)[^\s]*[^\s.,;:!?\u2026\"')\]*]",  # a mark behind it is the sentence's
    r"[\w.+-]{1,64}+@[\w.-]{0,252}\w",
)
# A run of marks is looked at from its start only, and as a whole: no search within it.
_CLOSING = r"[\"')\]*_~\u2019\u201d\u00bb]"
_SENTENCE_END = rf"(?<![.!?…])[.!?…]++{_CLOSING}*+(?=\s)|\n|[。！？]{_CLOSING}*+"  # noqa: RUF001
_PAUSE = r"[,;:][\"')\]*_~\u2019\u201d\u00bb]*+(?=\s)|[、，；：]"  # noqa: RUF001
_CONJUNCTION = (
    r"[ ](?=(?:and|but|or|because|which|while|when|where|if|so|then|until|unless|although|though)"
    r"[ ])"
)
MARK = re.compile(
    "|".join(
        (
            rf"(?P<span>{'|'.join(_SPANS)})",
            rf"(?P<end>{_SENTENCE_END})",
            rf"(?P<pause>{_PAUSE})",
            rf"(?P<word>{_CONJUNCTION})",
        )
    )
)
ADDRESS = re.compile(r"\s*(?:https?://|www\.)\S*")
LIST_NUMBER = re.compile(r"(?:^|\n)[ \t]*\d{1,3}[.)]\Z")
"""The number in front of a line of a list is no sentence of its own."""

DATE = re.compile(r"\b[A-Z][a-z]{2,8}\.? \d{1,2},\Z")
"""A day, as in "May 5, 2026": the comma belongs to the date where a year follows."""

FOR_EXAMPLE = re.compile(r"(?<![\w.])(?:e\.g|i\.e)\.,\Z", re.IGNORECASE)
"""The comma belongs to it, and what it is about comes after."""

_NEXT = re.compile(r"[^\S\n]*+(\S.{0,12})", re.DOTALL)  # on the same line
_SEEN_CHARS = LONGEST_CHARS + 1  # a longest clause, and the blank that ends it
_BEFORE_CHARS = 24  # more than the longest abbreviation, list number or date has


class ClauseSplitter:
    """Feed deltas, get clauses. Nothing is lost: the clauses add up to the text, and they are the
    same however it comes.

    A clause ends at punctuation followed by white space, so never inside `3.5`, `12:30` or
    `example.org`, nor after an abbreviation that goes on, nor inside an address, a link, or code
    between backticks; a sentence end always counts, a comma only when the clause is long enough
    to be worth a breath. The cost is linear in the text, with or without punctuation, and each
    delta looks at a longest clause again.
    """

    def __init__(self) -> None:
        self._text = ""
        self._first = True

    def feed(self, delta: str) -> list[str]:
        """The clauses that are complete after this delta."""
        self._text += delta
        clauses = []
        begin = 0
        while (end := self._find_end(begin)) is not None:
            clauses.append(self._text[begin:end])
            begin = end
            self._first = False
        self._text = self._text[begin:]
        return clauses

    def flush(self) -> list[str]:
        """What is left at the end of the text."""
        rest, self._text = self._text, ""
        return [rest] if rest else []

    def _find_end(self, begin: int) -> int | None:
        """Where in the text the clause from `begin` on ends; None where more text may tell."""
        seen = self._text[begin : begin + _SEEN_CHARS]
        full = len(seen) > LONGEST_CHARS
        spans = []
        for found in MARK.finditer(seen):
            end = found.end()
            if found["span"]:
                if end == len(seen) and not full:
                    return None
                spans.append(found.span())
            elif end > LONGEST_CHARS:
                break
            elif (ends := self._ends(seen, found, full=full)) is None:
                return None
            elif ends:
                return begin + end
        return self._cut(begin, seen, spans) if full else None

    def _ends(self, seen: str, found: re.Match[str], *, full: bool) -> bool | None:
        """Whether a clause ends there; None where that depends on text to come."""
        end = found.end()
        if found["end"]:
            if found[0] == "\n":
                return True
            after = _NEXT.match(seen, end)
            before = seen[max(0, end - _BEFORE_CHARS) : end]
            if LIST_NUMBER.search(before):
                return False
            return goes_on_or_ends(before, after, seen, end, full=full)
        if found["word"]:
            return self._first and end > FIRST_WORDS_CHARS
        if end < (FIRST_CLAUSE_CHARS if self._first else CLAUSE_CHARS):
            return False
        if FOR_EXAMPLE.search(seen, max(0, end - _BEFORE_CHARS), end):
            return False
        if not DATE.search(seen, max(0, end - _BEFORE_CHARS), end):
            return True
        after = _NEXT.match(seen, end)
        if after is None and not full and "\n" not in seen[end:]:
            return None
        return after is None or not after[1][0].isdigit()

    def _cut(self, begin: int, seen: str, spans: list[tuple[int, int]]) -> int | None:
        """The end of a clause that has grown too long: between two words, not inside what is said
        as one, and rather not beside a number, whose unit may follow, or an abbreviation."""
        good = fair = 0
        for place, character in enumerate(seen[:LONGEST_CHARS]):
            if character != " " or not place:
                continue
            if any(start < place < end for start, end in spans):
                continue
            fair = place
            before, after = seen[place - 1], seen[place + 1 : place + 2]
            if not (before.isdigit() or before == "." or after.isdigit()):
                good = place
        if good or fair:
            return begin + (good if good > LONGEST_CHARS // 2 else fair)
        return self._end_of_address(begin)

    def _end_of_address(self, begin: int) -> int | None:
        most = begin + LONGEST_ADDRESS_CHARS
        found = ADDRESS.match(self._text, begin, most)
        if found is None:
            return begin + LONGEST_CHARS
        return found.end() if found.end() < len(self._text) or found.end() == most else None


def goes_on_or_ends(
    before: str, after: re.Match[str] | None, seen: str, end: int, *, full: bool
) -> bool | None:
    """Whether the sentence ends whose mark is at the end of `before`."""
    said = goes_on(before, after[1] if after else "")
    if said is not None:
        return not said
    # What comes next decides; a new line does as well as the beginning of a sentence.
    return True if full or "\n" in seen[end:] else None
