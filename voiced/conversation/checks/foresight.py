"""Invariant 12: only the newest guess is answered in advance, and that answer is taken up only
where the question became the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voiced.conversation.checks.step import Checks
from voiced.conversation.effects import Generate, Prepare

if TYPE_CHECKING:
    from voiced.conversation.checks.step import Follow


class ForesightChecks(Checks):
    """Looks at what is begun before anybody asked for it."""

    def on_prepare(self, effect: Prepare) -> None:
        step = self.step
        if effect.revision <= step.before.guessed:
            step.report(12, "a stale guess is answered")
        if effect.item_id != step.before.speech_item or step.default:
            step.report(12, "answered in advance with no turn that goes on")

    def on_generate(self, effect: Generate) -> None:
        if effect.prepared is None:
            return
        begun = self.step.before.prepared
        asked = None if begun is None else (begun.revision, begun.options, begun.messages)
        if asked != (effect.prepared, effect.options, effect.messages):
            response_id = effect.response_id
            self.step.report(12, "the answer to another question is taken up", response_id)

    def compare(self) -> None:
        after = self.step.after
        begun = after.prepared
        if begun is None or begun.item_id == after.speech_item:
            return
        waiting = any(begun.item_id in r.waiting_for for r in after.responses)
        if after.closed or not (waiting or after.response_owed):
            self.step.report(12, "what was begun in advance is left behind")

    FOLLOW: ClassVar[Follow] = {Prepare: on_prepare, Generate: on_generate}
