"""Invariant 10, what a model is shown; with 4 and 7, that it is asked for a response that lives,
on the options that this was created with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from voiced.conversation.checks.step import Checks
from voiced.conversation.effects import Generate

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voiced.conversation.checks.step import Follow
    from voiced.conversation.items import Entry
    from voiced.conversation.state import ActiveResponse


class ContextChecks(Checks):
    """Looks at what is handed to the engines."""

    def on_generate(self, effect: Generate) -> None:
        step, response_id = self.step, effect.response_id
        if response_id not in step.alive:
            step.report(4, "work for a response that is over", response_id)
            return
        response = step.before.response(response_id) or step.after.response(response_id)
        if response is None:
            return
        if effect.options != response.options:
            step.report(7, "runs on other options than it was created with", response_id)
        if not calls_answered(effect.messages):
            step.report(10, "the model is shown a call without its output", response_id)
        shown = sum(
            len((message["content"] or "").split())
            for message in effect.messages
            if message["role"] == "assistant"
        )
        if shown > sum(map(audible_words, self.context_of(response))):
            step.report(10, "the model is shown more than was heard", response_id)

    def context_of(self, response: ActiveResponse) -> Iterable[Entry]:
        """The entries that a response may be shown."""
        if response.context is not None:
            return response.context
        # With what the same step forgot behind this: it was shown.
        states = (self.step.before, self.step.after)
        known = {e.item.id: state.live(e) for state in states for e in state.entries}
        return known.values()

    FOLLOW: ClassVar[Follow] = {Generate: on_generate}


def calls_answered(messages: Sequence[dict[str, Any]]) -> bool:
    """Whether each call is followed by its output, and nothing but that."""
    owed: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in owed:
                return False
            owed.remove(message["tool_call_id"])
        elif owed:
            return False
        else:
            owed = [call["id"] for call in message.get("tool_calls") or ()]
    return not owed


def audible_words(entry: Entry) -> int:
    """An upper bound on the words of an assistant's item that anyone can have heard."""
    if entry.role != "assistant":
        return 0
    if not entry.spans:
        return sum(len(getattr(part, "text", "").split()) for part in entry.content)
    left_ms = float("inf") if entry.heard_ms is None else entry.heard_ms
    words = 0
    for span in entry.spans:
        if left_ms <= 0:
            break
        share = min(1.0, left_ms / span.sent_ms) if span.sent_ms else 1.0
        words += -int(-len(span.text.split()) * share // 1)
        left_ms -= span.sent_ms
    return words
