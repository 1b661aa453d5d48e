"""What comes in by microphone: speech, commits and transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.conversation import events as ev
from voiced.conversation.config import Rejected
from voiced.conversation.effects import ClaimAudio, DropAudio, StoreItem
from voiced.conversation.hold import begin_speech, hold, release, take_as_speech
from voiced.conversation.items import Entry, InputAudio, Message, with_transcript
from voiced.conversation.replies import fail_response, transcript_settled

if TYPE_CHECKING:
    from voiced.conversation import inputs as inp
    from voiced.conversation.state import Draft

MINIMUM_COMMIT_MS = 100


def on_speech_started(draft: Draft, event: inp.SpeechStarted) -> None:
    detection = draft.state.config.audio.input.turn_detection
    state = draft.state
    if detection is None or state.speech_item is not None or state.held is not None:
        return
    if not hold(draft, event.audio_start_ms):
        begin_speech(draft, event.audio_start_ms)


def on_speech_stopped(draft: Draft, event: inp.SpeechStopped) -> None:
    if draft.state.held is not None:
        take_as_speech(draft, draft.state.held)
    item_id = draft.state.speech_item
    detection = draft.state.config.audio.input.turn_detection
    if item_id is None or detection is None:
        return
    draft.emit(ev.SpeechStoppedEvent(audio_end_ms=event.audio_end_ms, item_id=item_id))
    commit(draft, item_id)
    if detection.create_response:
        draft.set(response_owed=True)


def on_commit(draft: Draft, event: inp.CommitAudio) -> None:
    if event.buffered_ms < MINIMUM_COMMIT_MS:
        raise Rejected(
            "input_audio_buffer_commit_empty",
            f"Error committing input audio buffer: buffer too small. Expected at least "
            f"{MINIMUM_COMMIT_MS}ms of audio, but buffer only has {event.buffered_ms:.2f}ms.",
        )
    if draft.state.held is not None:
        take_as_speech(draft, draft.state.held)
    commit(draft, draft.state.speech_item or draft.new_id("item"))


def commit(draft: Draft, item_id: str) -> None:
    """Turn the input buffer into a user item, stored before anything can answer it."""
    previous = draft.state.last_item_id
    item = Message(id=item_id, role="user", status="completed", content=(InputAudio(),))
    draft.set(speech_item=None, awaits_user=False)
    draft.emit(ev.BufferCommitted(previous_item_id=previous, item_id=item_id))
    transcribes = draft.state.transcribes
    draft.add_entry(Entry(item=item, transcribing=transcribes))
    draft.emit(ev.ItemAdded(previous_item_id=previous, item=item))
    draft.emit(ev.ItemDone(previous_item_id=previous, item=item))
    draft.effects.extend((StoreItem(item), ClaimAudio(item_id, transcribes)))


def on_clear(draft: Draft, event: inp.ClearAudio) -> None:
    release(draft)
    draft.set(speech_item=None)
    draft.effects.append(DropAudio())
    draft.emit(ev.BufferCleared())


def on_transcript(draft: Draft, event: inp.TranscriptReady) -> None:
    """The words are known. Of an item that is gone no more is said: clients would ask for it."""
    entry = draft.state.entry(event.item_id)
    if entry is not None and entry.transcribing:
        entry = with_transcript(entry, event.text)
        draft.put_entry(entry)
        if draft.state.config.audio.input.transcription is not None:
            if event.text:
                draft.emit(ev.TranscriptionDelta(item_id=event.item_id, delta=event.text))
            draft.emit(
                ev.TranscriptionCompleted(
                    item_id=event.item_id,
                    transcript=event.text,
                    usage=ev.DurationUsage(event.duration_s),
                )
            )
        draft.effects.append(StoreItem(entry.item))
    transcript_settled(draft, event.item_id, event.text)


def on_transcript_failed(draft: Draft, event: inp.TranscriptFailed) -> None:
    """The words will not come: what was to answer them fails, the rest goes on without."""
    entry = draft.state.entry(event.item_id)
    if entry is not None and entry.transcribing:
        draft.put_entry(with_transcript(entry, None))
        if draft.state.config.audio.input.transcription is not None:
            failure = ev.TranscriptionError(
                type="transcription_error", code=event.code, message=event.message
            )
            draft.emit(ev.TranscriptionFailed(item_id=event.item_id, error=failure))
    for response in draft.state.responses:
        if event.item_id in response.waiting_for and event.item_id == response.answers:
            fail_response(draft, response, event.code, event.message)
    transcript_settled(draft, event.item_id, None)
