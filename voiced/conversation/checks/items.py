"""Invariant 9, the order of items; and 11, that their audio is kept as long as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voiced.conversation import events as ev
from voiced.conversation.checks.step import Checks, Step
from voiced.conversation.effects import ForgetAudio, KeepAudio

if TYPE_CHECKING:
    from voiced.conversation.checks.step import Follow


class ItemChecks(Checks):
    """Follows the items as a client has them."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.moved: list[str] | None = None
        self.unkept: set[str] = set()
        self.left_behind: set[str] = set()

    @property
    def order(self) -> list[str]:
        """The ids of the items as the client has them."""
        if self.moved is None:
            self.moved = [entry.item.id for entry in self.step.before.entries]
        return self.moved

    def on_added(self, event: ev.ItemAdded) -> None:
        previous, item_id = event.previous_item_id, event.item.id
        if previous is not None and previous not in self.order:
            owner = self.step.owner(item_id)
            self.step.report(9, "an item behind one that is not there", owner)
            return
        place = 0 if previous is None else self.order.index(previous) + 1
        self.order.insert(place, item_id)

    def on_done(self, event: ev.ItemDone) -> None:
        item_id = event.item.id
        front: str | None = None
        if item_id in self.order:
            place = self.order.index(item_id)
            front = self.order[place - 1] if place else None
        if event.previous_item_id != front:
            owner = self.step.owner(item_id)
            self.step.report(9, "previous_item_id is not the item in front", owner)

    def on_deleted(self, event: ev.ItemDeleted) -> None:
        self.left_behind.add(event.item_id)
        if event.item_id in self.order:
            self.order.remove(event.item_id)

    def on_audio(self, event: ev.OutputAudioDelta) -> None:
        if event.response_id in self.step.default:
            entry = self.step.after.entry(event.item_id)
            if entry is not None and entry.heard_ms is None:
                self.unkept.add(event.item_id)

    def on_kept(self, effect: KeepAudio) -> None:
        self.unkept.discard(effect.item_id)

    def on_forgotten(self, effect: ForgetAudio) -> None:
        self.left_behind.discard(effect.item_id)

    def compare(self) -> None:
        step = self.step
        for item_id in self.left_behind:
            step.report(11, "the audio of an item outlives it", step.owner(item_id))
        for item_id in self.unkept:
            step.report(11, "audio was sent and not kept", step.owner(item_id))
        if self.moved is None and step.before.entries is step.after.entries:
            return
        if self.order != [entry.item.id for entry in step.after.entries]:
            step.report(9, "the client's items are not ours", step.answer)

    FOLLOW: ClassVar[Follow] = {
        ev.ItemAdded: on_added,
        ev.ItemDone: on_done,
        ev.ItemDeleted: on_deleted,
        ev.OutputAudioDelta: on_audio,
        KeepAudio: on_kept,
        ForgetAudio: on_forgotten,
    }
