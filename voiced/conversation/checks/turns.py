"""Invariants 6 and 8: who speaks, and that it is stored before it is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from voiced.conversation import events as ev
from voiced.conversation.checks.step import Checks, Step
from voiced.conversation.effects import Generate, HoldReply, StoreItem
from voiced.conversation.hold import is_heard

if TYPE_CHECKING:
    from voiced.conversation.checks.step import Follow
    from voiced.conversation.state import State

UNSTORED = "answered before the user's speech was stored"


class TurnChecks(Checks):
    """Keeps account of `unstored`."""

    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.interrupted: set[str] = set()
        self.spoken = False
        self.interrupts = interrupts(step.before)

    def on_updated(self, _event: ev.SessionUpdated) -> None:
        self.interrupts = interrupts(self.step.after)

    def on_speech_started(self, event: ev.SpeechStartedEvent) -> None:
        self.spoken = True
        held = self.step.before.held
        if held is not None and event.audio_start_ms != held.audio_start_ms:
            message = "an interruption does not begin where it was heard"
            self.step.report(6, message, held.response_id)
        if self.interrupts:
            self.interrupted |= self.step.default

    def on_speech_stopped(self, _event: ev.SpeechStoppedEvent) -> None:
        self.spoken = True

    def on_silence(self, _event: ev.TimeoutTriggered) -> None:
        if self.step.before.idle_ms is None:
            self.step.report(6, "told of a silence that was not timed")

    def on_committed(self, event: ev.BufferCommitted) -> None:
        self.spoken = True
        self.step.unstored.add(event.item_id)
        for response_id in self.interrupted & self.step.default:
            self.step.report(6, "still active at the next commit", response_id)

    def on_stored(self, effect: StoreItem) -> None:
        self.step.unstored.discard(effect.item.id)

    def on_created(self, event: ev.ResponseCreated) -> None:
        if self.step.unstored:
            self.step.report(8, UNSTORED, event.response.id)

    def on_generate(self, effect: Generate) -> None:
        if self.step.unstored and effect.response_id in self.step.alive:
            self.step.report(8, UNSTORED, effect.response_id)

    def on_hold(self, effect: HoldReply) -> None:
        if effect.response_id not in self.step.default:
            self.step.report(6, "a reply is held that is none", effect.response_id)

    def compare(self) -> None:
        step, after = self.step, self.step.after
        active = [r.id for r in after.responses if r.conversation_id is not None]
        held, speech = after.held, after.speech_item is not None
        if after.idle_ms is not None and (active or speech or held is not None):
            step.report(6, "silence is timed while somebody speaks")
        if held is not None and not after.closed:
            if held.response_id not in active or not is_heard(after):
                step.report(6, "a sound is held with no reply to go on with", held.response_id)
            if speech or (self.spoken and held is step.before.held):
                step.report(6, "a sound is told and held at once", held.response_id)
        for response_id in self.interrupted & step.default:
            step.report(6, "not cancelled when the user began to speak", response_id)
        if step.unstored:
            step.report(8, "the user's speech was not stored", step.answer)

    FOLLOW: ClassVar[Follow] = {
        ev.SessionUpdated: on_updated,
        ev.SpeechStartedEvent: on_speech_started,
        ev.SpeechStoppedEvent: on_speech_stopped,
        ev.TimeoutTriggered: on_silence,
        ev.BufferCommitted: on_committed,
        ev.ResponseCreated: on_created,
        StoreItem: on_stored,
        Generate: on_generate,
        HoldReply: on_hold,
    }


def interrupts(state: State) -> bool:
    """Whether speech stops a reply in that state."""
    detection = state.config.audio.input.turn_detection
    return detection is not None and detection.interrupt_response
