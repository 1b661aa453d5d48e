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
from voiced.conversation.effects import (
    Effect,
    Emit,
    ForgetAudio,
    Generate,
    HoldReply,
    KeepAudio,
    StoreItem,
)
from voiced.conversation.hold import is_heard
from voiced.conversation.items import FunctionCall

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


Owed = tuple[type[ev.ServerEvent], str]
"""A closing event that is still to come, and the item that it closes."""


def violations(before: State, after: State, effects: Sequence[Effect]) -> list[Violation]:
    """What is wrong with the step from `before` to `after`; empty for a sound one.

    A step that only passes on audio or text costs microseconds; one that moves items or asks
    for a reply grows with the history.
    """
    if 1 <= len(effects) <= 2 and len(before.responses) == len(after.responses):
        effect = effects[0]
        if type(effect) is Emit and type(effect.event) is ev.OutputAudioDelta:
            delta = effect.event
            for response in after.responses:
                if response.id == delta.response_id:
                    entry = response.message
                    if entry is not None and entry.item.id == delta.item_id:
                        if kept_as_sent(response, entry, effects):
                            return []
                        break
    elif not effects and before.responses is after.responses:
        return []
    return Inspection(before, after).of(effects)


def kept_as_sent(response: ActiveResponse, entry: Entry, effects: Sequence[Effect]) -> bool:
    """Whether the audio of one delta is kept exactly if the item is in the conversation, whole."""
    if response.conversation_id is None or entry.heard_ms is not None:
        return len(effects) == 1
    emitted, kept = effects[0], effects[-1]
    return (
        type(emitted) is Emit
        and type(emitted.event) is ev.OutputAudioDelta
        and type(kept) is KeepAudio
        and kept.item_id == entry.item.id
        and kept.audio is emitted.event.delta
    )


class Inspection:
    """One step, followed as its client will see it."""

    def __init__(self, before: State, after: State) -> None:
        self.after = after
        self.found: list[Violation] = []
        self.snapshots = {r.id: r for r in before.responses}
        self.alive = dict.fromkeys(self.snapshots)
        self.default = {r.id for r in before.responses if r.conversation_id is not None}
        outputs = [entry for r in before.responses for entry in r.outputs]
        self.written = {entry.item.id: written(entry) for entry in outputs}
        self.open = {r.id: opened(r) for r in before.responses}
        self.places = {r.id: [e.item.id for e in r.outputs] for r in before.responses}
        self.before = before
        self.unkept: set[str] = set()
        self.left_behind: set[str] = set()
        self.moved: list[str] | None = None
        self.unfinished = {
            e.item.id for r in before.responses if r.id in self.default for e in r.outputs
        }
        self.unstored: set[str] = set()
        self.interrupted: set[str] = set()
        self.spoken = False
        self.interrupts = interrupts(before)

    def of(self, effects: Sequence[Effect]) -> list[Violation]:
        """Follow the effects in order, then compare with the state they are said to lead to."""
        for effect in effects:
            if isinstance(effect, Emit):
                self.follow(effect.event)
            elif isinstance(effect, KeepAudio):
                self.unkept.discard(effect.item_id)
            elif isinstance(effect, ForgetAudio):
                self.left_behind.discard(effect.item_id)
            elif isinstance(effect, StoreItem):
                self.unstored.discard(effect.item.id)
            elif isinstance(effect, Generate):
                self.follow_generate(effect)
            elif isinstance(effect, HoldReply) and effect.response_id not in self.default:
                self.report(6, "a reply is held that is none", effect.response_id)
        self.compare()
        return self.found

    def report(self, invariant: int, message: str, response_id: str | None = None) -> None:
        self.found.append(Violation(invariant, message, response_id))

    def follow(self, event: ev.ServerEvent) -> None:
        response_id = getattr(event, "response_id", None)
        if response_id is not None and response_id not in self.alive:
            self.report(4, f"{name(event)} outside of its response", response_id)
            return
        item_id = getattr(event, "item_id", None)
        if response_id is not None and item_id in self.places[response_id]:
            place = self.places[response_id].index(item_id)
            if getattr(event, "output_index", place) != place:
                self.report(3, f"{name(event)} at another place than its item", response_id)
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
        self.open[response.id] = {}
        self.places[response.id] = []

    def on_done(self, event: ev.ResponseDone) -> None:
        response_id = event.response.id
        if response_id not in self.alive:
            self.report(2, "done without being active", response_id)
            return
        for kind, _ in self.open[response_id]:
            self.report(3, f"done before {kind.__name__}", response_id)
        if response_id in self.default and self.unfinished:
            self.report(3, "done before its item", response_id)
        del self.alive[response_id]
        self.default.discard(response_id)

    def on_output_added(self, event: ev.OutputItemAdded) -> None:
        item = event.item
        places = self.places[event.response_id]
        if event.output_index != len(places):
            self.report(3, "an output at another place than the next", event.response_id)
        places.append(item.id)
        self.written[item.id] = ""
        self.open[event.response_id][ev.OutputItemDone, item.id] = None
        if isinstance(item, FunctionCall):
            self.open[event.response_id][ev.CallArgumentsDone, item.id] = None

    def on_part_added(self, event: ev.ContentPartAdded) -> None:
        self.open[event.response_id][ev.ContentPartDone, event.item_id] = None

    def on_closed(self, event: Any) -> None:  # noqa: ANN401 - one that closes an item or a part
        item_id = event.item.id if isinstance(event, ev.OutputItemDone) else event.item_id
        if self.open[event.response_id].pop((type(event), item_id), self) is self:
            self.report(3, f"{name(event)} without its start", event.response_id)

    def on_text(self, event: ev.OutputTextDelta | ev.AudioTranscriptDelta) -> None:
        self.on_audio(event)
        self.written[event.item_id] = self.written.get(event.item_id, "") + event.delta

    def on_audio(self, event: ev.InPart) -> None:
        if (ev.ContentPartDone, event.item_id) not in self.open[event.response_id]:
            self.report(3, f"{name(event)} outside of a part", event.response_id)
        if isinstance(event, ev.OutputAudioDelta) and event.response_id in self.default:
            entry = self.after.entry(event.item_id)
            if entry is not None and entry.heard_ms is None:
                self.unkept.add(event.item_id)

    def on_text_done(self, event: ev.OutputTextDone) -> None:
        if event.text != self.written.get(event.item_id):
            self.report(5, "the text is not its deltas", event.response_id)

    def on_transcript_done(self, event: ev.AudioTranscriptDone) -> None:
        if event.transcript != self.written.get(event.item_id):
            self.report(5, "the transcript is not its deltas", event.response_id)

    def on_arguments(self, event: ev.CallArgumentsDelta) -> None:
        if (ev.CallArgumentsDone, event.item_id) not in self.open[event.response_id]:
            self.report(3, f"{name(event)} outside of a call", event.response_id)
        self.written[event.item_id] = self.written.get(event.item_id, "") + event.delta

    def on_arguments_done(self, event: ev.CallArgumentsDone) -> None:
        if event.arguments != self.written.get(event.item_id):
            self.report(5, "the arguments are not their deltas", event.response_id)
        self.on_closed(event)

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
            # With what the same step forgot behind this: it was shown.
            states = (self.before, self.after)
            known = {e.item.id: state.live(e) for state in states for e in state.entries}
            entries: Iterable[Entry] = known.values()
        else:
            entries = response.context
        if not calls_answered(effect.messages):
            self.report(10, "the model is shown a call without its output", response_id)
        shown = sum(
            len((message["content"] or "").split())
            for message in effect.messages
            if message["role"] == "assistant"
        )
        if shown > sum(map(audible_words, entries)):
            self.report(10, "the model is shown more than was heard", response_id)

    # -- items -----------------------------------------------------------------------------

    def on_updated(self, _event: ev.SessionUpdated) -> None:
        self.interrupts = interrupts(self.after)

    def on_speech_started(self, event: ev.SpeechStartedEvent) -> None:
        self.spoken = True
        held = self.before.held
        if held is not None and event.audio_start_ms != held.audio_start_ms:
            self.report(6, "an interruption does not begin where it was heard", held.response_id)
        if self.interrupts:
            self.interrupted |= self.default

    def on_speech_stopped(self, _event: ev.SpeechStoppedEvent) -> None:
        self.spoken = True

    def on_silence(self, _event: ev.TimeoutTriggered) -> None:
        if self.before.idle_ms is None:
            self.report(6, "told of a silence that was not timed")

    def on_committed(self, event: ev.BufferCommitted) -> None:
        self.spoken = True
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
        self.left_behind.add(event.item_id)
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
            for entry in response.outputs:
                if written(entry) != self.written.get(entry.item.id):
                    self.report(5, "the deltas are not what was written", response.id)
            if self.places[response.id] != [e.item.id for e in response.outputs]:
                self.report(3, "its outputs are not those that were added", response.id)
            was = self.snapshots.get(response.id)
            if was is not None and was.options != response.options:
                self.report(7, "its options changed", response.id)
        held = self.after.held
        speech = self.after.speech_item is not None or held is not None
        if self.after.idle_ms is not None and (active or speech):
            self.report(6, "silence is timed while somebody speaks")
        if held is not None and not self.after.closed:
            if held.response_id not in active or not is_heard(self.after):
                self.report(6, "a sound is held with no reply to go on with", held.response_id)
            if self.after.speech_item is not None or (self.spoken and held is self.before.held):
                self.report(6, "a sound is told and held at once", held.response_id)
        for response_id in self.interrupted & self.default:
            self.report(6, "not cancelled when the user began to speak", response_id)
        for item_id in self.left_behind:
            self.report(11, "the audio of an item outlives it", self.owner(item_id))
        for item_id in self.unkept:
            self.report(11, "audio was sent and not kept", self.owner(item_id))
        if self.unstored:
            self.report(8, "the user's speech was not stored", next(iter(self.default), None))
        if self.moved is None and self.before.entries is self.after.entries:
            return
        if self.order != [entry.item.id for entry in self.after.entries]:
            self.report(9, "the client's items are not ours", next(iter(self.default), None))


FOLLOW: dict[type[ev.ServerEvent], Callable[[Inspection, Any], None]] = {
    ev.ResponseCreated: Inspection.on_created,
    ev.ResponseDone: Inspection.on_done,
    ev.OutputItemAdded: Inspection.on_output_added,
    ev.ContentPartAdded: Inspection.on_part_added,
    ev.ContentPartDone: Inspection.on_closed,
    ev.OutputItemDone: Inspection.on_closed,
    ev.CallArgumentsDelta: Inspection.on_arguments,
    ev.CallArgumentsDone: Inspection.on_arguments_done,
    ev.OutputTextDelta: Inspection.on_text,
    ev.AudioTranscriptDelta: Inspection.on_text,
    ev.OutputAudioDelta: Inspection.on_audio,
    ev.OutputTextDone: Inspection.on_text_done,
    ev.AudioTranscriptDone: Inspection.on_transcript_done,
    ev.SessionUpdated: Inspection.on_updated,
    ev.SpeechStartedEvent: Inspection.on_speech_started,
    ev.SpeechStoppedEvent: Inspection.on_speech_stopped,
    ev.TimeoutTriggered: Inspection.on_silence,
    ev.BufferCommitted: Inspection.on_committed,
    ev.ItemAdded: Inspection.on_item_added,
    ev.ItemDone: Inspection.on_item_done,
    ev.ItemDeleted: Inspection.on_deleted,
}


def interrupts(state: State) -> bool:
    """Whether speech stops a reply in that state."""
    detection = state.config.audio.input.turn_detection
    return detection is not None and detection.interrupt_response


def name(event: ev.ServerEvent) -> str:
    """The event's type on the wire."""
    return str(event.__struct_config__.tag)


def opened(response: ActiveResponse) -> dict[Owed, None]:
    """The closing events that the response still owes."""
    owed: dict[Owed, None] = {}
    for entry in response.outputs:
        last = ev.ContentPartDone if entry.role is not None else ev.CallArgumentsDone
        owed[last, entry.item.id] = None
        owed[ev.OutputItemDone, entry.item.id] = None
    return owed


def written(entry: Entry) -> str:
    """The text that an output holds: of a message, or a call's arguments."""
    if isinstance(entry.item, FunctionCall):
        return entry.item.arguments
    spans = "".join(span.text for span in entry.spans)
    return spans or "".join(getattr(part, "text", "") for part in entry.content)


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
