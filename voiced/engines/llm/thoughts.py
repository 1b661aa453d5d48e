"""What a model thinks before it speaks, taken out of what it writes, as that comes.

Models that reason write their thoughts between two marks, in front of the answer. Nobody is to hear
them, whether the model is ours or a server's that passes on all that its model writes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voiced.engines.llm.tool_calls import THOUGHT, Marks

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKS = tuple(mark for marks in THOUGHT for mark in (marks.begin, marks.end))
_MARK = re.compile("|".join(map(re.escape, _MARKS)))
_BY_BEGIN = {marks.begin: marks for marks in THOUGHT}


class ThoughtFilter:
    """Feed it text, cut anywhere; it returns what is no thought.

    A mark counts at the beginning of a line only, as models write it: within a sentence it is what
    somebody speaks about. A thought without an end goes on to the end of the answer. An end without
    a beginning is dropped: what stood before it has been passed on.
    """

    def __init__(self, *, thinking: Marks | None = None) -> None:
        """With `thinking`, the answer begins inside a thought."""
        self._inside = thinking
        self._held = ""
        self._fresh = True
        """Whether the line has nothing but white space so far."""
        self._trims = thinking is not None
        """Whether white space is dropped: that behind a thought belongs to it."""
        self.thought = thinking is not None
        """Whether there was any thought."""

    @property
    def thinking(self) -> bool:
        """Whether it is inside a thought."""
        return self._inside is not None

    def feed(self, text: str) -> str:
        """What is certainly no thought."""
        self._held += text
        return self._advance(last=False)

    def finish(self) -> str:
        """The answer is over: what was held back after all."""
        return self._advance(last=True)

    def _advance(self, *, last: bool) -> str:
        said: list[str] = []
        while self._held:
            before = len(self._held)
            if self._inside is None:
                said.append(self._pass_on(last))
            else:
                self._skip(self._inside.end, last)
            if len(self._held) == before:
                break
        return "".join(said)

    def _skip(self, end: str, last: bool) -> None:
        at = self._held.find(end)
        if at >= 0:
            self._held = self._held[at + len(end) :]
            self._inside, self._fresh, self._trims = None, True, True
        elif last:
            self._held = ""
        else:
            self._held = self._held[len(self._held) - overlap(self._held, (end,)) :]

    def _pass_on(self, last: bool) -> str:
        """The text up to the next mark, which is then behind us."""
        for mark in _MARK.finditer(self._held):
            if self._begins_line(mark.start()):
                said = self._take(mark.start())
                self._held = self._held[len(mark[0]) :]
                self._inside = _BY_BEGIN.get(mark[0])
                self._trims = self.thought = True
                return said
        keep = 0 if last else overlap(self._held, _MARKS)
        if keep and not self._begins_line(len(self._held) - keep):
            keep = 0
        return self._take(len(self._held) - keep)

    def _begins_line(self, at: int) -> bool:
        """Whether nothing but white space stands before it on its line."""
        _, newline, line = self._held[:at].rpartition("\n")
        return not line.strip() and (bool(newline) or self._fresh)

    def _take(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        if self._trims:
            text = text.lstrip()
            self._trims = not text
        if text:
            _, newline, line = text.rpartition("\n")
            self._fresh = not line.strip() and (bool(newline) or self._fresh)
        return text


def overlap(text: str, sought: Sequence[str]) -> int:
    """How many characters at the end of `text` may be the beginning of one of `sought`."""
    longest = max((len(word) for word in sought), default=1) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(word.startswith(text[-length:]) for word in sought):
            return length
    return 0


def thought_begun(prompt: str) -> Marks | None:
    """The marks of the thought that a prompt begins for the model, if it does."""
    end = prompt.rstrip()
    return next((marks for marks in THOUGHT if end.endswith(marks.begin)), None)
