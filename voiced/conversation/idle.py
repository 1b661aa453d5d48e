"""A user who says nothing for long: the model is told, once, and may ask what is the matter.

`settle_idle` decides after every step whether time runs; whoever owns the conversation keeps the
time, counted from the end of what is still to be played, and says when it is over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.conversation import events as ev
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import ArmIdle, StoreItem
from voiced.conversation.items import Entry, InputAudio, Message
from voiced.conversation.replies import create_response

if TYPE_CHECKING:
    from voiced.conversation import inputs as inp
    from voiced.conversation.state import Draft, State


def settle_idle(draft: Draft) -> None:
    """Let time run, or not, as the step has left things."""
    wanted = idle_ms(draft.state)
    if wanted != draft.state.idle_ms:
        draft.set(idle_ms=wanted)
        draft.effects.append(ArmIdle(wanted))


def idle_ms(state: State) -> int | None:
    """How long the user may be silent from now on; None while nobody waits for them."""
    detection = state.config.audio.input.turn_detection
    busy = state.active is not None or state.speech_item is not None or state.held is not None
    if not isinstance(detection, ServerVad) or busy or not state.awaits_user:
        return None
    return detection.idle_timeout_ms


def on_idle(draft: Draft, event: inp.IdleTimeout) -> None:
    """Time is over: a turn without words, and what the model makes of it."""
    if draft.state.idle_ms is None:
        return
    detection = draft.state.config.audio.input.turn_detection
    item_id = draft.new_id("item")
    previous = draft.state.last_item_id
    item = Message(id=item_id, role="user", status="completed", content=(InputAudio(),))
    draft.set(awaits_user=False, idle_ms=None)
    draft.emit(
        ev.TimeoutTriggered(
            audio_start_ms=event.audio_start_ms, audio_end_ms=event.audio_end_ms, item_id=item_id
        )
    )
    draft.emit(ev.BufferCommitted(previous_item_id=previous, item_id=item_id))
    draft.add_entry(Entry(item=item, silent=True))
    draft.emit(ev.ItemAdded(previous_item_id=previous, item=item))
    draft.emit(ev.ItemDone(previous_item_id=previous, item=item))
    draft.effects.append(StoreItem(item))
    if draft.state.config.audio.input.transcription is not None:
        seconds = (event.audio_end_ms - event.audio_start_ms) / 1000
        draft.emit(
            ev.TranscriptionCompleted(
                item_id=item_id, transcript="", usage=ev.DurationUsage(seconds)
            )
        )
    if detection is not None and detection.create_response:
        create_response(draft)
        active = draft.state.active
        draft.set(prompt=None if active is None else active.id)
