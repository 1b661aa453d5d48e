"""The invariants of the design, checked on each step of a running session.

The session's owner calls `violations` after every step, logs what it finds and feeds
`ReplyFailed` for the response concerned: a mistake in the core costs one answer, not the
daemon. Independent of how `step` works: it looks at the states around the step and at what a
client is about to see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from voiced.conversation import events as ev
from voiced.conversation.effects import Effect, Emit, Generate, StoreItem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from voiced.conversation.items import Entry
    from voiced.conversation.state import ActiveResponse, State


class Violation(Struct, frozen=True):
    """One broken invariant, by its number in the design.

    `response_id` names the response to fail, where one is concerned; it may be over already.
    `message` is for the log and holds no text of the conversation.
    """

    invariant: int
    message: str
    response_id: str | None = None


CLOSED_BY: dict[type[ev.ServerEvent], type[ev.ServerEvent]] = {
    ev.ContentPartAdded: ev.ContentPartDone,
    ev.OutputItemAdded: ev.OutputItemDone,
}


def violations(before: State, after: State, effects: Sequence[Effect]) -> list[Violation]:
    """What is wrong with the step from `before` to `after`; empty for a sound one.

    A step that only passes on audio or text costs microseconds; one that moves items or asks
    for a reply grows with the history.
    """
    if len(effects) == 1 and len(before.responses) == len(after.responses):
        effect = effects[0]
        if type(effect) is Emit and type(effect.event) is ev.OutputAudioDelta:
            delta = effect.event
            for response in after.responses:
                if response.id == delta.response_id:
                    entry = response.message
                    if entry is not None and entry.item.id == delta.item_id:
                        return []
    elif not effects and before.responses is after.responses:
        return []
    return Inspection(before, after).of(effects)


class Inspection:
    """One step, followed as its client will see it."""

    def __init__(self, before: State, after: State) -> None:
        self.after = after
        self.found: list[Violation] = []
        self.snapshots = {r.id: r for r in before.responses}
        self.alive = dict.fromkeys(self.snapshots)
        self.default = {r.id for r in before.responses if r.conversation_id is not None}
        self.written = {r.id: written(r) for r in before.responses}
        self.open = {r.id: opened(r) for r in before.responses}
        self.before = before
        self.moved: list[str] | None = None
        self.unfinished = {
            e.item.id for r in before.responses if r.id in self.default for e in r.outputs
        }
        self.unstored: set[str] = set()
        self.interrupted: set[str] = set()
        detection = before.config.audio.input.turn_detection
        self.interrupts = detection is not None and detection.interrupt_response

    def of(self, effects: Sequence[Effect]) -> list[Violation]:
        """Follow the effects in order, then compare with the state they are said to lead to."""
        for effect in effects:
            if isinstance(effect, Emit):
                self.follow(effect.event)
            elif isinstance(effect, StoreItem):
                self.unstored.discard(effect.item.id)
            elif isinstance(effect, Generate):
                self.follow_generate(effect)
        self.compare()
        return self.found

    def report(self, invariant: int, message: str, response_id: str | None = None) -> None:
        self.found.append(Violation(invariant, message, response_id))

    def follow(self, event: ev.ServerEvent) -> None:
        response_id = getattr(event, "response_id", None)
        if response_id is not None and response_id not in self.alive:
            self.report(4, f"{name(event)} outside of its response", response_id)
            return
        handler = FOLLOW.get(type(event))
        if handler is not None:
            handler(self, event)

    # -- responses -------------------------------------------------------------------------

    def on_created(self, event: ev.ResponseCreated) -> None:
        response = event.response
        if response.conversation_id is not None:
            if self.default:
                self.report(1, "a second response in the conversation", response.id)
            self.default.add(response.id)
        if self.unstored:
            self.report(8, "answered before the user's speech was stored", response.id)
        if response.id in self.alive:
            self.report(2, "created twice", response.id)
        self.alive[response.id] = None
        self.written[response.id] = ""
        self.open[response.id] = {}

    def on_done(self, event: ev.ResponseDone) -> None:
        response_id = event.response.id
        if response_id not in self.alive:
            self.report(2, "done without being active", response_id)
            return
        for kind in self.open[response_id]:
            self.report(3, f"done before {kind.__name__}", response_id)
        if response_id in self.default and self.unfinished:
            self.report(3, "done before its item", response_id)
        del self.alive[response_id]
        self.default.discard(response_id)

    def on_opened(self, event: Any) -> None:  # noqa: ANN401 - one of the events in CLOSED_BY
        self.open[event.response_id][CLOSED_BY[type(event)]] = None

    def on_closed(self, event: Any) -> None:  # noqa: ANN401 - one of the events in CLOSED_BY
        if self.open[event.response_id].pop(type(event), self) is self:
            self.report(3, f"{name(event)} without its start", event.response_id)

    def on_text(self, event: ev.OutputTextDelta | ev.AudioTranscriptDelta) -> None:
        self.written[event.response_id] += event.delta
        if ev.ContentPartDone not in self.open[event.response_id]:
            self.report(3, f"{name(event)} outside of a part", event.response_id)

    def on_audio(self, event: ev.OutputAudioDelta) -> None:
        if ev.ContentPartDone not in self.open[event.response_id]:
            self.report(3, f"{name(event)} outside of a part", event.response_id)

    def on_text_done(self, event: ev.OutputTextDone) -> None:
        if event.text != self.written[event.response_id]:
            self.report(5, "the text is not its deltas", event.response_id)

    def on_transcript_done(self, event: ev.AudioTranscriptDone) -> None:
        if event.transcript != self.written[event.response_id]:
            self.report(5, "the transcript is not its deltas", event.response_id)

    def follow_generate(self, effect: Generate) -> None:
        response_id = effect.response_id
        if response_id not in self.alive:
            self.report(4, "work for a response that is over", response_id)
            return
        if self.unstored:
            self.report(8, "answered before the user's speech was stored", response_id)
        response = self.snapshots.get(response_id) or self.after.response(response_id)
        if response is None:
            return
        if effect.options != response.options:
            self.report(7, "runs on other options than it was created with", response_id)
        if response.context is None:
            entries: Iterable[Entry] = map(self.after.live, self.after.entries)
        else:
            entries = response.context
        shown = sum(
            len(message["content"].split())
            for message in effect.messages
            if message["role"] == "assistant"
        )
        if shown > sum(map(audible_words, entries)):
            self.report(10, "the model is shown more than was heard", response_id)

    # -- items -----------------------------------------------------------------------------

    def on_speech_started(self, _event: ev.SpeechStartedEvent) -> None:
        if self.interrupts:
            self.interrupted |= self.default

    def on_committed(self, event: ev.BufferCommitted) -> None:
        self.unstored.add(event.item_id)
        for response_id in self.interrupted & self.default:
            self.report(6, "still active at the next commit", response_id)

    @property
    def order(self) -> list[str]:
        """The ids of the items as the client has them."""
        if self.moved is None:
            self.moved = [entry.item.id for entry in self.before.entries]
        return self.moved

    def on_item_added(self, event: ev.ItemAdded) -> None:
        if event.item.status == "in_progress":
            self.unfinished.add(event.item.id)
        previous = event.previous_item_id
        if previous is not None and previous not in self.order:
            self.report(9, "an item behind one that is not there", self.owner(event.item.id))
            return
        place = 0 if previous is None else self.order.index(previous) + 1
        self.order.insert(place, event.item.id)

    def on_item_done(self, event: ev.ItemDone) -> None:
        item_id = event.item.id
        self.unfinished.discard(item_id)
        front: str | None = None
        if item_id in self.order:
            place = self.order.index(item_id)
            front = self.order[place - 1] if place else None
        if event.previous_item_id != front:
            self.report(9, "previous_item_id is not the item in front", self.owner(item_id))

    def on_deleted(self, event: ev.ItemDeleted) -> None:
        if event.item_id in self.order:
            self.order.remove(event.item_id)

    def owner(self, item_id: str) -> str | None:
        """The response whose item that is; else the one in the conversation."""
        for response in self.after.responses:
            if response.output(item_id) is not None:
                return response.id
        return next(iter(self.default), None)

    # -- the state afterwards --------------------------------------------------------------

    def compare(self) -> None:
        active = [r.id for r in self.after.responses if r.conversation_id is not None]
        for response_id in active[1:]:
            self.report(1, "a second response in the conversation", response_id)
        remaining = {r.id for r in self.after.responses}
        if self.after.closed:
            for response_id in remaining:
                self.report(2, "left behind at the end of the session", response_id)
        for response_id in self.alive:
            if response_id not in remaining:
                self.report(2, "gone without its response.done", response_id)
        for response in self.after.responses:
            if response.id not in self.alive:
                self.report(2, "active outside of created and done", response.id)
                continue
            if written(response) != self.written[response.id]:
                self.report(5, "the deltas are not what was written", response.id)
            was = self.snapshots.get(response.id)
            if was is not None and was.options != response.options:
                self.report(7, "its options changed", response.id)
        for response_id in self.interrupted & self.default:
            self.report(6, "not cancelled when the user began to speak", response_id)
        if self.unstored:
            self.report(8, "the user's speech was not stored", next(iter(self.default), None))
        if self.moved is None and self.before.entries is self.after.entries:
            return
        if self.order != [entry.item.id for entry in self.after.entries]:
            self.report(9, "the client's items are not ours", next(iter(self.default), None))


FOLLOW: dict[type[ev.ServerEvent], Callable[[Inspection, Any], None]] = {
    ev.ResponseCreated: Inspection.on_created,
    ev.ResponseDone: Inspection.on_done,
    ev.OutputItemAdded: Inspection.on_opened,
    ev.ContentPartAdded: Inspection.on_opened,
    ev.ContentPartDone: Inspection.on_closed,
    ev.OutputItemDone: Inspection.on_closed,
    ev.OutputTextDelta: Inspection.on_text,
    ev.AudioTranscriptDelta: Inspection.on_text,
    ev.OutputAudioDelta: Inspection.on_audio,
    ev.OutputTextDone: Inspection.on_text_done,
    ev.AudioTranscriptDone: Inspection.on_transcript_done,
    ev.SpeechStartedEvent: Inspection.on_speech_started,
    ev.BufferCommitted: Inspection.on_committed,
    ev.ItemAdded: Inspection.on_item_added,
    ev.ItemDone: Inspection.on_item_done,
    ev.ItemDeleted: Inspection.on_deleted,
}


def name(event: ev.ServerEvent) -> str:
    """The event's type on the wire."""
    return str(event.__struct_config__.tag)


def opened(response: ActiveResponse) -> dict[type[ev.ServerEvent], None]:
    """The closing events that the response still owes."""
    if response.message is None:
        return {}
    return {ev.ContentPartDone: None, ev.OutputItemDone: None}


def written(response: ActiveResponse) -> str:
    """The text that a response holds."""
    if (entry := response.message) is None:
        return ""
    spans = "".join(span.text for span in entry.spans)
    return spans or "".join(getattr(part, "text", "") for part in entry.content)


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
