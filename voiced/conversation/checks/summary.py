"""Invariant 13: what was summed up is shown to the model by its summary and no other way, and no
summary tells of what the client has deleted or cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voiced.conversation import events as ev
from voiced.conversation.checks.context import audible_words
from voiced.conversation.checks.step import Checks
from voiced.conversation.context import text_of
from voiced.conversation.effects import Generate

if TYPE_CHECKING:
    from voiced.conversation.checks.step import Follow
    from voiced.conversation.items import Entry


class SummaryChecks(Checks):
    """Looks at what stands for the oldest turns."""

    def on_generate(self, effect: Generate) -> None:
        step, response_id = self.step, effect.response_id
        response = step.before.response(response_id) or step.after.response(response_id)
        if response is None or response.say is not None:
            return
        summary = step.after.summary if response.context is None else None
        if summary is None:
            return
        told = (m["content"] for m in effect.messages if m["role"] == "system")
        if summary.text not in next(told, ""):
            step.report(13, "the model is not told what was summed up", response_id)
        left = {
            entry.item.id: entry
            for state in (step.before, step.after)
            for entry in map(state.live, state.entries)
            if entry.item.id not in summary.item_ids
        }
        shown = sum(
            len((message["content"] or "").split())
            for message in effect.messages
            if message["role"] in ("user", "assistant")
        )
        if shown > sum(map(words_in, left.values())):
            step.report(13, "the model is shown what was summed up as well", response_id)

    def on_truncated(self, event: ev.ItemTruncated) -> None:
        self.look_for(event.item_id)

    def on_deleted(self, event: ev.ItemDeleted) -> None:
        before, after = self.step.before, self.step.after
        full = len(before.entries) > before.history_items
        if not full and len(after.entries) < len(before.entries):
            self.look_for(event.item_id)  # else it may have been forgotten, and was not deleted

    def look_for(self, item_id: str) -> None:
        summary = self.step.after.summary
        if summary is not None and item_id in summary.item_ids:
            self.step.report(13, "a summary tells of what is no longer so", self.step.answer)

    FOLLOW: ClassVar[Follow] = {
        Generate: on_generate,
        ev.ItemTruncated: on_truncated,
        ev.ItemDeleted: on_deleted,
    }


def words_in(entry: Entry) -> int:
    """An upper bound on the words of a message that the model may be shown."""
    return audible_words(entry) if entry.role == "assistant" else len(text_of(entry).split())
