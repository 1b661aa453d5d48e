"""A sound during a spoken reply that may be no interruption: a cough, an "uh-huh", an echo.

The reply is paused and nothing is said of it on the wire. The sound becomes speech, from its true
onset on, as soon as it is known to be meant for us, and at the latest when there is nothing left
to go on with: the client cancelled or cut the reply, or it failed. Else the reply goes on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voiced.conversation import events as ev
from voiced.conversation.context import heard_text
from voiced.conversation.effects import EndHold, HoldReply
from voiced.conversation.replies import cancel_response
from voiced.conversation.state import Held

if TYPE_CHECKING:
    from voiced.conversation import inputs as inp
    from voiced.conversation.state import Draft, State

WORD = re.compile(r"\w+(?:'\w+)*")

LEAST_ECHO = 2
"""Words that must be those of the reply to be its echo: one alone may well be an answer."""


def begin_speech(draft: Draft, audio_start_ms: int) -> None:
    """Somebody speaks: promise the item, and stop the reply that is interrupted."""
    item_id = draft.new_id("item")
    draft.set(speech_item=item_id)
    draft.emit(ev.SpeechStartedEvent(audio_start_ms=audio_start_ms, item_id=item_id))
    active = draft.state.active
    detection = draft.state.config.audio.input.turn_detection
    if active is not None and detection is not None and detection.interrupt_response:
        cancel_response(draft, active, "turn_detected")


def hold(draft: Draft, audio_start_ms: int) -> bool:
    """Pause the reply that somebody's sound may interrupt; false where there is none to pause."""
    detection = draft.state.config.audio.input.turn_detection
    active = draft.state.active
    if not draft.state.holds or detection is None or not detection.interrupt_response:
        return False
    if active is None or not is_heard(draft.state):
        return False
    draft.set(held=Held(response_id=active.id, audio_start_ms=audio_start_ms))
    draft.effects.append(HoldReply(active.id))
    return True


def is_heard(state: State) -> bool:
    """Whether a reply is being played to somebody who has not cut it."""
    message = None if state.active is None else state.active.message
    return message is not None and message.heard_ms is None and message.sent_ms > 0


def on_speech_confirmed(draft: Draft, event: inp.SpeechConfirmed) -> None:
    """The held sound is meant for us, unless it is what the reply itself just said."""
    held, active = draft.state.held, draft.state.active
    if held is None or active is None or active.message is None:
        return
    if not repeats(event.text, heard_text(active.message)):
        take_as_speech(draft, held)


def on_speech_dismissed(draft: Draft, event: inp.SpeechDismissed) -> None:
    """The held sound was nothing: the reply goes on, and nobody hears of it."""
    release(draft)


def take_as_speech(draft: Draft, held: Held) -> None:
    """What was held back is an interruption after all."""
    draft.set(held=None)
    begin_speech(draft, held.audio_start_ms)
    draft.effects.append(EndHold(held.response_id))


def release(draft: Draft) -> None:
    """Let a paused reply go on, if there is one."""
    held = draft.state.held
    if held is not None:
        draft.set(held=None)
        draft.effects.append(EndHold(held.response_id))


def settle_held(draft: Draft) -> None:
    """With no reply left to go on with, what was held is speech like any other."""
    held, active = draft.state.held, draft.state.active
    if held is None:
        return
    if active is None or active.id != held.response_id or not is_heard(draft.state):
        take_as_speech(draft, held)


def repeats(heard: str, said: str) -> bool:
    """Whether the words are an echo: a run of those that the reply said, in its order."""
    words, reply = WORD.findall(heard.lower()), WORD.findall(said.lower())
    count = len(words)
    if count < LEAST_ECHO:
        return False
    return any(reply[at : at + count] == words for at in range(len(reply) - count + 1))
