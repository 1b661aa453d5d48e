"""What a model writes on channels, as gpt-oss does, sorted as it comes.

Each message has a head, which names a channel and perhaps whom it is for, and a body:
`<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`. Only what is
on the channel `final` is meant for ears; what is for `functions.NAME` is a call.

Format: https://developers.openai.com/cookbook/articles/openai-harmony
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from voiced.engines.llm.thoughts import overlap
from voiced.engines.llm.tool_calls import Call, Unreadable, named_call

if TYPE_CHECKING:
    from collections.abc import Collection

CHANNEL_MARKS = (
    *("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"),
    *("<|end|>", "<|call|>", "<|return|>"),
)
FORCED_HEAD = "<|channel|>commentary <|constrain|>json<|message|>"
"""Begins a call for the model, which then writes which one it is."""

_MARK = re.compile("|".join(map(re.escape, CHANNEL_MARKS)))
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)")
_ROLE = re.compile(r"\s*(?!to=)(\w+)")
_FOR = re.compile(r"\bto=(functions\.)?([\w-]+)")

Place = Literal["head", "said", "call", "thought"]


def writes_on_channels(template: str) -> bool:
    """Whether the model that goes with this chat template does."""
    return all(mark in template for mark in ("<|start|>", "<|channel|>", "<|message|>"))


class Channels:
    """Feed it text, cut anywhere; it returns what is to be said. `calls` are those read so far.

    Without `functions` nothing is a call. A model that writes no marks at all is taken at its
    word. A head without a channel is that of words.
    """

    def __init__(self, functions: Collection[str] = ()) -> None:
        self._functions = functions
        self._held = ""
        self._place: Place = "head"
        self._text = ""
        """The head so far, or the body of a call."""
        self._function = ""
        self._marked = False
        self.calls: list[Call] = []
        self.broken = ""
        """Why a call could not be read; "" where all could."""

    @property
    def calling(self) -> bool:
        """What is being written is a call."""
        return self._place == "call"

    def feed(self, text: str) -> str:
        """What is certainly to be said."""
        return self._advance(text, last=False)

    def finish(self) -> str:
        """The answer is over, and with it the message that was being written."""
        said = self._advance("", last=True)
        if self._place == "head" and not self._marked:
            return said + self._text
        self._close()
        return said

    def _advance(self, text: str, *, last: bool) -> str:
        self._held += text
        said: list[str] = []
        while mark := _MARK.search(self._held):
            said.append(self._take(self._held[: mark.start()]))
            self._held = self._held[mark.end() :]
            self._pass(mark[0])
        keep = 0 if last else overlap(self._held, CHANNEL_MARKS)
        certain = len(self._held) - keep
        said.append(self._take(self._held[:certain]))
        self._held = self._held[certain:]
        return "".join(said)

    def _take(self, text: str) -> str:
        """Text between two marks; what is said of it."""
        if self._place == "said":
            return text
        if self._place == "thought":
            return ""
        self._text += text
        start = self._text.lstrip()
        if self._place == "head" and not self._marked and not "to=".startswith(start[:3]):
            self._place, self._marked = "said", True
            return self._text
        return ""

    def _pass(self, mark: str) -> None:
        self._marked = True
        if mark == "<|message|>":
            if self._place == "head":
                self._open(self._text)
            return
        within = mark in ("<|channel|>", "<|constrain|>")
        if self._place != "head" or not within:
            self._close()
        if within:
            self._text += mark

    def _open(self, head: str) -> None:
        """The body begins."""
        channel, whom, role = _CHANNEL.search(head), _FOR.search(head), _ROLE.match(head)
        self._text = ""
        if role and role[1] != "assistant":  # it goes on with somebody else's words
            self._place = "thought"
        elif whom and self._functions and (whom[1] or whom[2] in self._functions):
            self._place, self._function = "call", whom[2]
        elif whom or (channel and channel[1] != "final"):
            self._place = "thought"
        else:
            self._place = "said"

    def _close(self) -> None:
        """The message is over, and a head may follow."""
        if self._place == "call":
            try:
                self.calls.append(named_call(self._function, self._text))
            except Unreadable as exc:
                self.broken = str(exc)
        self._place, self._text = "head", ""
