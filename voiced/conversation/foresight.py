"""An answer that is begun before the question is over, and told to nobody.

While somebody is silent for a moment, what they have said so far may be the whole of it. So the
model may be asked at once, as it would be if the turn ended here. If it does end, and the final
transcript makes the very same question, that answer is taken up; else it is thrown away. Nothing
of it is told before, nothing is remembered of it, and no tool runs for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiced.conversation.context import build_messages
from voiced.conversation.effects import DropPrepared, Prepare
from voiced.conversation.items import Entry, InputAudio, Message
from voiced.conversation.snapshot import plan_response

if TYPE_CHECKING:
    from voiced.conversation import inputs as inp
    from voiced.conversation.state import ActiveResponse, Draft, State


def on_guessed(draft: Draft, event: inp.TurnGuessed) -> None:
    """Begin the answer that would be owed if the turn were over, unless it is begun already."""
    state = draft.state
    if event.revision <= state.guessed:
        return  # somebody went on speaking since
    draft.set(guessed=event.revision)
    prepared = foreseen(state, event) if may_foresee(state) and event.text.strip() else None
    standing = state.prepared
    if prepared is None or standing is None or not is_same(standing, prepared):
        drop(draft)
        if prepared is not None:
            draft.set(prepared=prepared)
            draft.effects.append(prepared)


def on_guess_dropped(draft: Draft, event: inp.GuessDropped) -> None:
    """The turn goes on: that, and whatever was guessed before it, is not the question."""
    if event.revision >= draft.state.guessed:
        draft.set(guessed=event.revision)
        drop(draft)


def may_foresee(state: State) -> bool:
    """Whether an answer to what is being said may be begun already."""
    return state.foresees and answers_next(state)


def answers_next(state: State) -> bool:
    """Whether the end of the turn would be answered at once, with nothing else to wait for."""
    detection = state.config.audio.input.turn_detection
    return (
        state.config.type == "realtime"
        and detection is not None
        and detection.create_response
        and state.speech_item is not None
        and state.active is None
        and state.held is None
        and not state.announcements
        and not any(entry.transcribing for entry in state.entries)
    )


def foreseen(state: State, event: inp.TurnGuessed) -> Prepare:
    """The question that the turn would be."""
    assert state.speech_item is not None
    options = plan_response(state, {}).options
    entries = entries_with(state, state.speech_item, event.text)
    return Prepare(
        revision=event.revision,
        item_id=state.speech_item,
        options=options,
        messages=build_messages(entries, options.instructions, state.summary),
    )


def entries_with(state: State, item_id: str, text: str) -> tuple[Entry, ...]:
    """The conversation with these words of the turn `item_id`, which are still to come."""
    content = (InputAudio(text),)
    item = Message(id=item_id, role="user", status="completed", content=content)
    return (*map(state.live, state.entries), Entry(item=item))


def awaits_words(state: State, item_id: str) -> bool:
    """Whether what is said in the turn `item_id` is still to come, all or the end of it."""
    entry = state.entry(item_id)
    return state.speech_item == item_id or (entry is not None and entry.transcribing)


def is_same(one: Prepare, other: Prepare) -> bool:
    """Whether both ask the same."""
    return one.options == other.options and one.messages == other.messages


def take_up(
    draft: Draft, response: ActiveResponse, messages: tuple[dict[str, Any], ...]
) -> int | None:
    """The revision of the answer begun to this very question; any other is thrown away."""
    prepared = draft.state.prepared
    if prepared is None or response.conversation_id is None:
        return None
    if response.say is None and is_question(prepared, response, messages):
        draft.set(prepared=None)
        return prepared.revision
    drop(draft)
    return None


def is_question(
    prepared: Prepare, response: ActiveResponse, messages: tuple[dict[str, Any], ...]
) -> bool:
    """Whether what was asked in advance is what is asked now."""
    return prepared.options == response.options and prepared.messages == messages


def drop(draft: Draft) -> None:
    """Throw away what was begun, if anything was."""
    prepared = draft.state.prepared
    if prepared is not None:
        draft.set(prepared=None)
        draft.effects.append(DropPrepared(prepared.revision))


def settle_prepared(draft: Draft) -> None:
    """What was begun is kept while its turn goes on, and while the answer to that waits."""
    prepared, state = draft.state.prepared, draft.state
    if prepared is None:
        return
    awaited = state.active is not None and prepared.item_id in state.active.waiting_for
    if state.speech_item != prepared.item_id and not awaited and not state.response_owed:
        drop(draft)
