"""Function calls in the model's context: each with its output behind it, whatever the order in
which a client made, answered and deleted them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from voiced.conversation.items import Entry, FunctionCall, FunctionCallOutput

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PENDING = "The result has not arrived yet."
"""What a model is shown of a call that its client has not answered: no call stands alone."""


class Round(Struct, frozen=True):
    """Calls of functions that stand together, each with its output. `own` is what the daemon's
    own tools were asked before, and answered."""

    calls: tuple[tuple[FunctionCall, str], ...]
    own: tuple[dict[str, Any], ...] = ()

    def messages(self) -> list[dict[str, Any]]:
        """The round in the OpenAI chat shape: the assistant's request, then the outputs."""
        asked = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call, _ in self.calls
        ]
        outputs = [
            {"role": "tool", "tool_call_id": call.call_id, "content": output}
            for call, output in self.calls
        ]
        return [*self.own, {"role": "assistant", "content": None, "tool_calls": asked}, *outputs]


def in_rounds(entries: Sequence[Entry]) -> Iterator[Entry | Round]:
    """The entries with calls and outputs put together.

    A call stands where its newest output is, since that is what the model is to look at now;
    without one it stands where it was made, and its result is said to be pending. Calls that were
    cut short and outputs whose call is unknown are left out.
    """
    calls = {e.item.call_id: e for e in entries if isinstance(e.item, FunctionCall)}
    answered = {e.item.call_id: e for e in entries if isinstance(e.item, FunctionCallOutput)}
    waiting: list[Round] = []
    for entry in entries:
        item = entry.item
        if isinstance(item, FunctionCall):
            if item.call_id not in answered and item.status == "completed":
                waiting.append(Round(((item, PENDING),), entry.own))
        elif isinstance(item, FunctionCallOutput):
            if answered[item.call_id] is entry:
                waiting += answer(entry, item, calls.get(item.call_id))
        else:
            yield from together(waiting)
            waiting.clear()
            yield entry
    yield from together(waiting)


def answer(entry: Entry, item: FunctionCallOutput, made: Entry | None) -> list[Round]:
    """The round of one output; none where its call is not known."""
    if made is not None and isinstance(made.item, FunctionCall):
        return [Round(((made.item, item.output),), made.own)]
    if entry.answers is not None:
        return [Round(((entry.answers, item.output),))]
    return []


def together(rounds: Sequence[Round]) -> Iterator[Round]:
    """Rounds that follow each other, as one."""
    if rounds:
        own = tuple(message for one in rounds for message in one.own)
        yield Round(tuple(call for one in rounds for call in one.calls), own)


def joined(messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The messages, with what the assistant said before it asked for tools in one message with
    that: some models refuse two messages of one side in a row."""
    before: dict[str, Any] | None = None
    for message in messages:
        if before is not None:
            if "tool_calls" in message and before.keys() == {"role", "content"}:
                message = {**message, "content": before["content"]}
            else:
                yield before
            before = None
        if message["role"] == "assistant" and "tool_calls" not in message:
            before = message
        else:
            yield message
    if before is not None:
        yield before


def length_of(message: dict[str, Any]) -> int:
    """Characters of a message, arguments of calls included."""
    asked = message.get("tool_calls") or ()
    arguments = sum(len(call["function"]["arguments"]) for call in asked)
    return len(message["content"] or "") + arguments
