"""The prompt of a language model: as much of a conversation as there is room for.

It is put together so that it grows at its end from turn to turn, and what was computed of it once
need not be again: what changes by itself, the time, stands with the user's last words.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import structs

from voiced.engines.llm.channels import FORCED_HEAD, writes_on_channels
from voiced.engines.llm.chat_template import CUT, text_of
from voiced.errors import ContextExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from voiced.engines.llm.chat_template import Template

ANSWER_SHARE = 4
"""A prompt may take all of the context but a fourth, or what the answer may have if that is less:
an answer that begins must have room to end."""

INAUDIBLE = "(The user said something that could not be understood.)"
"""In place of words that were not recognised: an empty message leads models astray."""


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What the model is given. `dropped` counts messages that there was no room for; `whole` are
    the tokens that it would have with them."""

    tokens: list[int]
    text: str
    dropped: int = 0
    whole: int = 0


class Prompter:
    """Puts prompts together for one model, of at most `context` tokens with the answer.

    `cut` cuts a text into tokens.
    """

    def __init__(
        self,
        template: Template,
        cut: Callable[[str], list[int]],
        context: int,
        *,
        tell_time: bool,
    ) -> None:
        self._template = template
        self._cut = cut
        self._context = context
        self._tell_time = tell_time

    def fit(
        self,
        given: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        answer: int | None,
        *,
        until_user: bool = False,
    ) -> Prompt:
        """The prompt, without the oldest turns where there is no room for them.

        Up to half of those that have room go with them, so that the next turns begin with the same
        one: a prompt that begins elsewhere is computed anew. `until_user`: only up to where the
        user speaks on, behind what they have said of it where the last message is theirs. Raises
        `ContextExceeded` where even the newest turn has none.
        """
        context = self._context
        reserve = context // ANSWER_SHARE
        room = context - (reserve if answer is None else min(answer, reserve))
        messages = list(given)
        whole = self._prompt(messages, tools, 0, until_user=until_user)
        count = len(whole.tokens)
        if count <= room:
            return structs.replace(whole, whole=count)
        turns = len(turn_starts(messages))
        low, high = 1, turns
        while low < high:  # how many have to go at the least
            middle = (low + high) // 2
            prompt = self._prompt(messages, tools, middle, until_user=until_user)
            low, high = (low, middle) if len(prompt.tokens) <= room else (middle + 1, high)
        if low >= turns:
            raise ContextExceeded(
                f"This is too long for the model: {count} tokens, of which {room} "
                f"have room (llm.context is {context})."
            )
        dropped = roundest(low, low + (turns - low) // 2)
        prompt = self._prompt(messages, tools, dropped, until_user=until_user)
        return structs.replace(prompt, whole=count)

    def _prompt(
        self,
        messages: list[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        turns_dropped: int,
        *,
        until_user: bool,
    ) -> Prompt:
        """`messages` as tokens, without that many of the oldest turns."""
        kept, dropped = messages, 0
        if turns_dropped:
            first = turn_starts(messages)[turns_dropped]
            system = [m for m in messages[:first] if m.get("role") == "system"]
            kept, dropped = [*system, *messages[first:]], first - len(system)
        shown = [_audible(message) for message in kept]
        if until_user:
            shown = _left_open(shown)
        text = self._template.render(self._dated(shown), tools)
        if until_user:  # in a whole prompt it would be the caller's own, and cuts nothing off
            text = text.partition(CUT)[0]
        return Prompt(tokens=self._cut(text) if text else [], text=text, dropped=dropped)

    def _dated(self, messages: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The user's last words with the time in front: what stands before them stays the same."""
        if not self._tell_time:
            return messages
        now = datetime.now().astimezone().strftime("%A %-d %B %Y, %H:%M")
        for index in range(len(messages) - 1, -1, -1):
            if messages[index].get("role") == "user":
                text = f"[{now}] {text_of(messages[index])}"
                return [
                    *messages[:index],
                    {**messages[index], "content": text},
                    *messages[index + 1 :],
                ]
        return messages


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How a model writes a call: what opens it, and the name of its arguments."""

    opening: str
    key: str


def roundest(low: int, high: int) -> int:
    """Of the numbers from `low` to `high` the one that the most powers of two divide: while both
    grow by and by, it stays the same for long."""
    step = 1 << high.bit_length()
    while (number := -(-low // step) * step) > high:
        step >>= 1
    return number


def dialect_of(template: Template) -> Dialect:
    """How the model that goes with this template was taught to write calls."""
    source = template.source
    if writes_on_channels(source):
        return Dialect(opening=FORCED_HEAD, key="arguments")
    if not template.knows_tools or ("<tool_call>" in source and "<function=" not in source):
        return Dialect(opening="<tool_call>\n", key="arguments")
    if "[TOOL_CALLS]" in source:
        return Dialect(opening="[TOOL_CALLS]", key="arguments")
    return Dialect(opening="", key="parameters" if '"parameters"' in source else "arguments")


def turn_starts(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Where each turn begins: with a message of the user's."""
    return [index for index, message in enumerate(messages) if message.get("role") == "user"]


def _left_open(messages: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """`messages` with `CUT` where the user speaks on."""
    if messages and messages[-1].get("role") == "user":
        last = {**messages[-1], "content": text_of(messages[-1]) + CUT}
        return [*messages[:-1], last]
    return [*messages, {"role": "user", "content": CUT}]


def _audible(message: Mapping[str, Any]) -> Mapping[str, Any]:
    if message.get("role") == "user" and not text_of(message).strip():
        return {**message, "content": INAUDIBLE}
    return message
