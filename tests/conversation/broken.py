"""Ways to break the core, at least one for each invariant, to show that it would be noticed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs

from voiced.conversation import (
    context,
    core,
    edits,
    foresight,
    hold,
    idle,
    outputs,
    replies,
    speech,
)
from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.effects import ForgetAudio, Generate, KeepAudio, StoreItem
from voiced.conversation.snapshot import plan_response
from voiced.conversation.state import ActiveResponse, Draft, Held, State
from voiced.conversation.tool_rounds import Round

if TYPE_CHECKING:
    from voiced.conversation.items import Entry


def two_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replies, "make_way", lambda _draft, _plan: None)


def abandoned_at_the_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "end_responses", lambda _draft, _code, _message: None)


def done_twice(patch: pytest.MonkeyPatch) -> None:
    emit = Draft.emit

    def broken(draft: Draft, event: ev.ServerEvent) -> None:
        emit(draft, event)
        if isinstance(event, ev.ResponseDone):
            emit(draft, event)

    patch.setattr(Draft, "emit", broken)


def part_left_open(patch: pytest.MonkeyPatch) -> None:
    emit = Draft.emit

    def broken(draft: Draft, event: ev.ServerEvent) -> None:
        if not isinstance(event, ev.ContentPartDone):
            emit(draft, event)

    patch.setattr(Draft, "emit", broken)


def audio_after_the_end(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, event: inp.ReplyAudio) -> None:
        core.on_reply_audio(draft, event)
        if draft.state.response(event.response_id) is None:
            delta = ev.OutputAudioDelta(
                response_id=event.response_id, item_id="item", delta=event.audio
            )
            draft.emit(delta)

    handlers = dict(core.HANDLERS)
    handlers[inp.ReplyAudio] = broken
    patch.setattr(core, "HANDLERS", handlers)


def last_letter_lost(patch: pytest.MonkeyPatch) -> None:
    written = outputs.written
    patch.setattr(outputs, "written", lambda entry: written(entry)[:-1])


def deaf_to_interruption(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hold, "cancel_response", lambda _draft, _response, _reason: None)


def held_with_nothing_to_go_on_with(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "settle_held", lambda _draft: None)


def silence_timed_all_the_while(patch: pytest.MonkeyPatch) -> None:
    def broken(state: State) -> int | None:
        detection = state.config.audio.input.turn_detection
        return getattr(detection, "idle_timeout_ms", None)

    patch.setattr(idle, "idle_ms", broken)


def silence_told_untimed(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, event: inp.IdleTimeout) -> None:
        draft.set(idle_ms=draft.state.idle_ms or 5_000)
        idle.on_idle(draft, event)

    handlers = dict(core.HANDLERS)
    handlers[inp.IdleTimeout] = broken
    patch.setattr(core, "HANDLERS", handlers)


def noise_told(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, held: Held) -> None:
        hold.begin_speech(draft, held.audio_start_ms + 1)
        hold.release(draft)

    patch.setattr(hold, "take_as_speech", broken)


def latest_configuration(patch: pytest.MonkeyPatch) -> None:
    generate = replies.generate

    def broken(draft: Draft, response: ActiveResponse) -> None:
        generate(draft, response)
        effect = draft.effects[-1]
        assert isinstance(effect, Generate)
        options = plan_response(draft.state, {}).options
        draft.effects[-1] = structs.replace(effect, options=options)

    patch.setattr(replies, "generate", broken)


def speech_not_stored(patch: pytest.MonkeyPatch) -> None:
    commit = speech.commit

    def broken(draft: Draft, item_id: str) -> None:
        commit(draft, item_id)
        draft.effects = [e for e in draft.effects if not isinstance(e, StoreItem)]

    patch.setattr(speech, "commit", broken)


def always_at_the_front(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(State, "before", lambda _state, _item_id: None)


def truncation_ignored(patch: pytest.MonkeyPatch) -> None:
    def broken(entry: Entry) -> str:
        return "".join(span.text for span in entry.spans)

    patch.setattr(context, "heard_text", broken)


def call_left_open(patch: pytest.MonkeyPatch) -> None:
    emit = Draft.emit

    def broken(draft: Draft, event: ev.ServerEvent) -> None:
        if not isinstance(event, ev.CallArgumentsDone):
            emit(draft, event)

    patch.setattr(Draft, "emit", broken)


def every_output_the_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ActiveResponse, "index_of", lambda _response, _item_id: 0)


def arguments_cut(patch: pytest.MonkeyPatch) -> None:
    emit = Draft.emit

    def broken(draft: Draft, event: ev.ServerEvent) -> None:
        if isinstance(event, ev.CallArgumentsDelta):
            event = structs.replace(event, delta=event.delta[:-1])
        emit(draft, event)

    patch.setattr(Draft, "emit", broken)


def outputs_forgotten(patch: pytest.MonkeyPatch) -> None:
    def broken(one: Round) -> list[dict[str, Any]]:
        return [message for message in sound(one) if message["role"] != "tool"]

    sound = Round.messages
    patch.setattr(Round, "messages", broken)


def audio_not_kept(patch: pytest.MonkeyPatch) -> None:
    add_audio = outputs.add_audio

    def broken(draft: Draft, response: ActiveResponse, event: inp.ReplyAudio) -> None:
        add_audio(draft, response, event)
        draft.effects = [e for e in draft.effects if not isinstance(e, KeepAudio)]

    patch.setattr(core, "add_audio", broken)


def audio_outlives_its_item(patch: pytest.MonkeyPatch) -> None:
    delete_item = edits.delete_item

    def broken(draft: Draft, event: inp.DeleteItem) -> None:
        delete_item(draft, event)
        draft.effects = [e for e in draft.effects if not isinstance(e, ForgetAudio)]

    handlers = dict(core.HANDLERS)
    handlers[inp.DeleteItem] = broken
    patch.setattr(core, "HANDLERS", handlers)


Break = Callable[[pytest.MonkeyPatch], None]


def any_question_is_the_same(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(foresight, "is_question", lambda _prepared, _response, _messages: True)


def begun_and_left(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(core, "settle_prepared", lambda _draft: None)
    patch.setattr(foresight, "drop", lambda _draft: None)
    patch.setattr(core, "drop", lambda _draft: None)


def stale_guesses_answered(patch: pytest.MonkeyPatch) -> None:
    def broken(draft: Draft, event: inp.TurnGuessed) -> None:
        draft.set(guessed=0)
        foresight.on_guessed(draft, event)

    handlers = dict(core.HANDLERS)
    handlers[inp.TurnGuessed] = broken
    patch.setattr(core, "HANDLERS", handlers)


def deleted_and_told_of(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(edits, "forget_summary", lambda _draft, _item_id: None)


def summed_up_and_shown(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(context, "shown_entries", lambda entries, _summary: list(entries))


def summed_up_and_untold(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(context, "instructions_with", lambda instructions, _summary: instructions)


BREAKS: list[tuple[int, Break]] = [
    (1, two_at_once),
    (2, abandoned_at_the_end),
    (2, done_twice),
    (3, part_left_open),
    (3, call_left_open),
    (3, every_output_the_first),
    (4, audio_after_the_end),
    (5, last_letter_lost),
    (5, arguments_cut),
    (6, deaf_to_interruption),
    (6, held_with_nothing_to_go_on_with),
    (6, noise_told),
    (6, silence_timed_all_the_while),
    (6, silence_told_untimed),
    (7, latest_configuration),
    (8, speech_not_stored),
    (9, always_at_the_front),
    (10, truncation_ignored),
    (10, outputs_forgotten),
    (11, audio_not_kept),
    (11, audio_outlives_its_item),
    (12, any_question_is_the_same),
    (12, begun_and_left),
    (12, stale_guesses_answered),
    (13, deleted_and_told_of),
    (13, summed_up_and_shown),
    (13, summed_up_and_untold),
]
