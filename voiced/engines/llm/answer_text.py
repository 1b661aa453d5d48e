"""What a model writes, sorted as it comes: words for the user, calls, thoughts, the end.

Pieces are bytes and end anywhere: in the middle of a character, of a stop string, of a mark. What
may still become one of those is held back, so that no part of a mark is ever said.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Literal

from voiced.engines.llm.thoughts import ThoughtFilter, overlap
from voiced.engines.llm.tool_calls import (
    MARKS,
    Call,
    Marks,
    Unreadable,
    may_be_plain,
    read_calls,
    read_plain,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from voiced.engines.llm.channels import Channels

State = Literal["words", "call", "plain", "stopped"]

MOST_CALL = 65_536
"""Characters of one call; a model that never closes it is read no further."""


class AnswerText:
    """Feed it pieces; it returns the words that are safe to say. `calls` are those read so far.

    `functions` are the names that were offered: without any, nothing is taken for a call. The
    answer begins inside a thought with the marks `thinking`, or a call with the marks `opened`.
    What comes on `channels` is sorted by them first, and a call is what they take for one.
    """

    def __init__(
        self,
        stops: Sequence[str] = (),
        functions: Collection[str] = (),
        *,
        thinking: Marks | None = None,
        opened: Marks | None = None,
        channels: Channels | None = None,
    ) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._functions = functions = () if channels else functions
        self._channels = channels
        self._held = ""
        self._said = False
        self._marks: Marks | None = opened
        self._state: State = "plain" if functions else "words"
        # Nothing is a thought within a call that was begun for the model.
        self._thoughts = ThoughtFilter(thinking=thinking) if opened is None else None
        if opened is not None:
            self._state = "call"
        self.calls: list[Call] = []
        self.broken: str = ""
        """Why a call could not be read; "" where all could."""

    @property
    def stopped(self) -> bool:
        """A stop string was reached, or a call is longer than any: nothing more counts."""
        return self._state == "stopped"

    @property
    def calling(self) -> bool:
        """What is being written is a call, or may be one."""
        on_channel = self._channels is not None and self._channels.calling
        return on_channel or self._state in ("call", "plain")

    @property
    def opened(self) -> Marks | None:
        """The marks of the call that is being written, where its body is still empty."""
        empty = self._state == "call" and not self._held.strip()
        return self._marks if empty else None

    def feed(self, piece: bytes) -> str:
        """The words that are certain now."""
        self._take(self._decoder.decode(piece))
        return self._advance(last=False)

    def finish(self) -> str:
        """The answer is over: what was held back after all."""
        self._take(self._decoder.decode(b"", True), last=True)
        if self._thoughts is not None:
            self._held += self._thoughts.finish()
        return self._advance(last=True)

    def _take(self, text: str, *, last: bool = False) -> None:
        if self._channels is not None:
            text = self._channels.feed(text) + (self._channels.finish() if last else "")
            self.calls, self.broken = list(self._channels.calls), self._channels.broken
        self._held += text if self._thoughts is None else self._thoughts.feed(text)

    def _advance(self, *, last: bool) -> str:
        said: list[str] = []
        before = None
        while before != (self._state, len(self._held)):
            before = (self._state, len(self._held))
            if self._state == "plain":
                self._plain(last)
            elif self._state == "words":
                said.append(self._words(last))
            elif self._state == "call":
                self._inside(last)
            else:
                self._held = ""
        text = "".join(said)
        if not self._said:
            text = text.lstrip()
        self._said = self._said or bool(text)
        return text

    def _plain(self, last: bool) -> None:
        """At the very beginning: is this a call without marks? Then all of it is needed."""
        maybe = may_be_plain(self._held)
        if maybe is None and not last:
            return
        if not maybe:
            self._state = "words"
            return
        if last:
            self.calls += read_plain(self._held, self._functions)
            if self.calls:
                self._held = ""
            self._state = "words"
        elif len(self._held) > MOST_CALL:
            self._state = "words"

    def _words(self, last: bool) -> str:
        """Say what comes before the next mark or stop string."""
        sought: list[tuple[str, Marks | None]] = [(stop, None) for stop in self._stops]
        sought += [(mark.begin, mark) for mark in MARKS if self._functions]
        found = [(at, mark) for text, mark in sought if (at := self._held.find(text)) >= 0]
        at, mark = min(found, key=lambda entry: entry[0], default=(-1, None))
        if at >= 0:
            said, rest = self._held[:at], self._held[at:]
            if mark is None:
                self._state, self._held = "stopped", ""
            else:
                self._state, self._marks = "call", mark
                self._held = rest.removeprefix(mark.begin)
            return said
        keep = 0 if last else overlap(self._held, [text for text, _ in sought])
        certain = len(self._held) - keep
        said, self._held = self._held[:certain], self._held[certain:]
        return said

    def _inside(self, last: bool) -> None:
        """Inside a call: wait for its end."""
        assert self._marks is not None
        end = self._marks.end
        at = self._held.find(end) if end else -1
        if at < 0 and not last:
            if len(self._held) > MOST_CALL:
                self._state, self.broken = "stopped", "it does not end"
            return
        body = self._held if at < 0 else self._held[:at]
        rest = "" if at < 0 else self._held[at + len(end) :]
        try:
            self.calls += read_calls(self._marks, body)
        except Unreadable as exc:
            self.broken = str(exc)
        self._state, self._held = "words", rest
        if at >= 0:
            self._held = self._held.lstrip() if not self._said else self._held
