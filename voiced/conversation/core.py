"""The conversation core: `step(state, input) -> (state, effects)`, without I/O.

The invariants of the design hold after every step, whatever the order of inputs; the
hypothesis state machine in `tests/conversation/` walks them. A rejected client event becomes
one `error` event and changes nothing. Late results of a response that is over are ignored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.calls import add_call, with_own
from voiced.conversation.config import (
    AnySessionConfig,
    Extras,
    Rejected,
    TranscriptionSessionConfig,
    update_config,
    without_answers,
)
from voiced.conversation.detection import Detections
from voiced.conversation.edits import create_item, delete_item, retrieve_item, truncate_item
from voiced.conversation.effects import Close, Configure, Effect, Emit, ForgetAudio
from voiced.conversation.foresight import drop, on_guess_dropped, on_guessed, settle_prepared
from voiced.conversation.hold import (
    on_speech_confirmed,
    on_speech_dismissed,
    release,
    settle_held,
    take_as_speech,
)
from voiced.conversation.idle import on_idle, settle_idle
from voiced.conversation.items import StatusDetails, Usage
from voiced.conversation.outputs import add_audio, add_text
from voiced.conversation.replies import (
    cancel_response,
    close_response,
    create_response,
    fail_response,
)
from voiced.conversation.snapshot import plan_response, session_resource
from voiced.conversation.speech import (
    on_clear,
    on_commit,
    on_speech_started,
    on_speech_stopped,
    on_transcript,
    on_transcript_failed,
)
from voiced.conversation.state import Draft, State
from voiced.conversation.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable

ANNOUNCEMENTS_KEPT = 8


def begin(
    config: AnySessionConfig,
    *,
    seed: str,
    history_items: int,
    detections: Detections | None = None,
    holds: bool = False,
    foresees: bool = False,
) -> tuple[State, list[Effect]]:
    """A fresh conversation. `seed` makes its ids unique among sessions.

    `detections` are the daemon's own; without them, those around what `config` begins with.
    `holds` lets a reply that a sound interrupts go on when the sound was nothing. `foresees` begins
    the answer to a turn while that may still go on.
    """
    if isinstance(config, TranscriptionSessionConfig):
        config = without_answers(config)
    state = State(
        seed=seed,
        config=config,
        detections=detections or Detections.around(config.audio.input.turn_detection),
        conversation_id=f"conv_{seed}",
        history_items=history_items,
        holds=holds,
        foresees=foresees,
    )
    created = ev.SessionCreated(session=session_resource(state))
    return state, [Emit(created), Configure(config)]


def step(state: State, event: inp.Input) -> tuple[State, list[Effect]]:
    """Take in one input. Pure: the same state and input give the same result.

    After `Expire` or `ShutDown` nothing has an effect any more. Never raises for anything that
    a client or an engine can cause.
    """
    if state.closed:
        return state, []
    draft = Draft(state)
    try:
        handler_of(event)(draft, event)
        settle(draft)
    except Rejected as refusal:
        draft = Draft(state)
        refuse(draft, refusal, getattr(event, "event_id", None))
    return draft.state, draft.effects


def refuse(draft: Draft, refusal: Rejected, event_id: str | None) -> None:
    """One `error` event, naming the client's event."""
    draft.emit(
        ev.ErrorEvent(
            error=ev.ErrorBody(
                type="invalid_request_error",
                code=refusal.code,
                message=refusal.message,
                param=refusal.param,
                event_id=event_id,
            )
        )
    )


def handler_of(event: inp.Input) -> Callable[[Draft, Any], None]:
    """The handler of the input's type, or of the type it derives from."""
    handler = HANDLERS.get(type(event))
    if handler is None:
        kinds = type(event).__mro__
        handler = next((HANDLERS[kind] for kind in kinds if kind in HANDLERS), None)
    if handler is None:
        raise TypeError(f"{type(event).__name__} is not an input of the conversation")
    return handler


def settle(draft: Draft) -> None:
    """What follows from any input: start what waits for silence, keep to the bounds."""
    if draft.state.closed:
        return
    settle_held(draft)
    if draft.state.response_owed or draft.state.announcements:
        start_waiting(draft)
    settle_idle(draft)
    if len(draft.state.entries) > draft.state.history_items:
        forget_surplus(draft)
    settle_prepared(draft)


def start_waiting(draft: Draft) -> None:
    """While nobody speaks: an owed answer, else an announcement."""
    state = draft.state
    if state.active is not None or state.speech_item is not None:
        return
    if state.response_owed:
        create_response(draft)
    else:
        text, *rest = state.announcements
        draft.set(announcements=tuple(rest))
        create_response(draft, plan_response(state, {}, say=text))


def forget_surplus(draft: Draft) -> None:
    """Let the oldest items go, and say so: a client that named one later would get an error."""
    surplus = len(draft.state.entries) - draft.state.history_items
    kept = []
    for entry in draft.state.entries:
        if surplus > 0 and entry.item.status != "in_progress" and not entry.transcribing:
            surplus -= 1
            draft.emit(ev.ItemDeleted(item_id=entry.item.id))
            draft.effects.append(ForgetAudio(entry.item.id))
        else:
            kept.append(entry)
    draft.set(entries=tuple(kept))


# -- the session ----------------------------------------------------------------------------


def on_update(draft: Draft, event: inp.UpdateSession) -> None:
    state = draft.state
    config = update_config(
        state.config, event.session, voice_fixed=state.voice_fixed, detections=state.detections
    )
    draft.set(config=config)
    detection = config.audio.input.turn_detection
    if detection is None:
        release(draft)
        draft.set(speech_item=None)
    if detection is None or not detection.create_response:
        draft.set(response_owed=False)
    draft.effects.append(Configure(config))
    draft.emit(ev.SessionUpdated(session=session_resource(draft.state)))
    if draft.state.held is not None and detection is not None and not detection.interrupt_response:
        take_as_speech(draft, draft.state.held)


def on_refuse(draft: Draft, event: inp.RefuseEvent) -> None:
    raise Rejected(event.code, event.message, param=event.param)


def on_expire(draft: Draft, event: inp.Expire) -> None:
    draft.set(closed=True)
    end_responses(draft, "session_expired", "The session reached its longest life.")
    message = "Your session hit the maximum duration; open a new one."
    refuse(draft, Rejected("session_expired", message), None)
    draft.effects.append(Close(1001, "session_expired"))


def on_shut_down(draft: Draft, event: inp.ShutDown) -> None:
    draft.set(closed=True)
    end_responses(draft, event.code, f"The session was closed: {event.reason}.")
    draft.effects.append(Close(event.close_code, event.reason))


def end_responses(draft: Draft, code: str, message: str) -> None:
    """Every created response gets its done, also at the end of the session."""
    for response in draft.state.responses:
        fail_response(draft, response, code, message)
    drop(draft)


# -- answers --------------------------------------------------------------------------------


def on_create_response(draft: Draft, event: inp.CreateResponse) -> None:
    create_response(draft, plan_response(draft.state, event.overrides))


def on_cancel_response(draft: Draft, event: inp.CancelResponse) -> None:
    if event.response_id is None:
        response = draft.state.active
    else:
        response = draft.state.response(event.response_id)
    if response is None:
        raise Rejected(
            "response_cancel_not_active", "Cancellation failed: no active response found."
        )
    cancel_response(draft, response, "client_cancelled")


def on_reply_text(draft: Draft, event: inp.ReplyText) -> None:
    response = draft.state.response(event.response_id)
    if response is not None and event.text:
        add_text(draft, response, event.text)


def on_reply_audio(draft: Draft, event: inp.ReplyAudio) -> None:
    response = draft.state.response(event.response_id)
    if response is not None and event.audio:
        add_audio(draft, response, event)


def on_reply_call(draft: Draft, event: inp.ReplyCall) -> None:
    response = draft.state.response(event.response_id)
    if response is not None:
        add_call(draft, response, event)


def on_reply_ended(draft: Draft, event: inp.ReplyEnded) -> None:
    response = draft.state.response(event.response_id)
    if response is None:
        return
    usage = Usage.of(event.input_tokens, event.output_tokens, cached=event.cached_tokens)
    details = None
    if event.finish == "length":
        details = StatusDetails(type="incomplete", reason="max_output_tokens")
    close_response(
        draft,
        with_own(response, event.own),
        "completed" if details is None else "incomplete",
        details,
        usage=usage,
        timing_ms=event.timing_ms,
        missing=event.missing,
    )


def on_reply_failed(draft: Draft, event: inp.ReplyFailed) -> None:
    response = draft.state.response(event.response_id)
    if response is not None:
        fail_response(draft, response, event.code, event.message)


def on_summarised(draft: Draft, event: inp.Summarised) -> None:
    """Unless an item of it has gone meanwhile: what was deleted is in no summary."""
    there = frozenset(entry.item.id for entry in draft.state.entries)
    if event.text and event.item_ids <= there:
        before = draft.state.summary
        earlier = frozenset() if before is None else before.item_ids & there
        draft.set(summary=Summary(event.text, event.item_ids | earlier))


def on_announce(draft: Draft, event: inp.Announce) -> None:
    if draft.state.config.type == "transcription":
        return
    waiting = (*draft.state.announcements, event.text)
    draft.set(announcements=waiting[-ANNOUNCEMENTS_KEPT:])


def on_heat(draft: Draft, event: inp.HeatChanged) -> None:
    """Told as the session's own change would be: clients know no other event for it."""
    draft.set(config=structs.replace(draft.state.config, voiced=Extras(heat=event.heat)))
    draft.emit(ev.SessionUpdated(session=session_resource(draft.state)))


HANDLERS: dict[type[Any], Callable[[Draft, Any], None]] = {
    inp.UpdateSession: on_update,
    inp.CreateItem: create_item,
    inp.RetrieveItem: retrieve_item,
    inp.DeleteItem: delete_item,
    inp.TruncateItem: truncate_item,
    inp.CommitAudio: on_commit,
    inp.ClearAudio: on_clear,
    inp.CreateResponse: on_create_response,
    inp.CancelResponse: on_cancel_response,
    inp.RefuseEvent: on_refuse,
    inp.SpeechStarted: on_speech_started,
    inp.SpeechStopped: on_speech_stopped,
    inp.SpeechConfirmed: on_speech_confirmed,
    inp.SpeechDismissed: on_speech_dismissed,
    inp.IdleTimeout: on_idle,
    inp.TurnGuessed: on_guessed,
    inp.GuessDropped: on_guess_dropped,
    inp.TranscriptReady: on_transcript,
    inp.TranscriptFailed: on_transcript_failed,
    inp.ReplyText: on_reply_text,
    inp.ReplyAudio: on_reply_audio,
    inp.ReplyCall: on_reply_call,
    inp.ReplyEnded: on_reply_ended,
    inp.ReplyFailed: on_reply_failed,
    inp.Summarised: on_summarised,
    inp.Announce: on_announce,
    inp.HeatChanged: on_heat,
    inp.Expire: on_expire,
    inp.ShutDown: on_shut_down,
}
