"""The checks of a running session: what they say, and of which response.

That they see every breach, and nothing in sound steps, is shown over random walks in
`test_invariants.py`.
"""

from __future__ import annotations

from msgspec import structs

from tests.conversation.talk import Talk, audio
from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.checks import Violation, violations
from voiced.conversation.core import step
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import Effect, Emit, StoreItem


def without(effects: list[Effect], *kinds: type[ev.ServerEvent]) -> list[Effect]:
    return [e for e in effects if not (isinstance(e, Emit) and isinstance(e.event, kinds))]


def test_the_response_concerned_is_named_and_can_be_failed() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("One ", 100.0))
    text = inp.ReplyText(response_id=response_id, text="two")
    before = talk.state
    after, effects = step(before, text)
    broken = without(effects, ev.AudioTranscriptDelta)
    assert violations(before, after, broken) == [
        Violation(5, "the deltas are not what was written", response_id)
    ]
    # What the session does about it: the response is failed, the conversation goes on.
    failed, closing = step(
        after, inp.ReplyFailed(response_id=response_id, code="internal_error", message="A fault.")
    )
    assert failed.responses == ()
    assert violations(after, failed, closing) == []


def test_a_missing_close_is_seen() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("One ", 100.0))
    after, effects = step(talk.state, inp.CancelResponse())
    for kind in (ev.ContentPartDone, ev.OutputItemDone, ev.ItemDone):
        found = violations(talk.state, after, without(effects, kind))
        assert [(v.invariant, v.response_id) for v in found] == [(3, response_id)]
    found = violations(talk.state, after, without(effects, ev.ResponseDone))
    assert [(v.invariant, v.response_id) for v in found] == [(2, response_id)]


def test_audio_of_a_response_that_is_over_is_seen() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("One ", 100.0))
    _, effects = step(talk.state, audio(response_id, 0, 20.0))
    talk.take(inp.CancelResponse())
    found = violations(talk.state, talk.state, effects)
    assert [(v.invariant, v.response_id) for v in found] == [(4, response_id)]


def test_speech_that_was_not_stored_is_seen() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0))
    after, effects = step(talk.state, inp.SpeechStopped(500))
    unstored = [effect for effect in effects if not isinstance(effect, StoreItem)]
    assert {v.invariant for v in violations(talk.state, after, unstored)} == {8}


def test_two_responses_in_the_state_are_seen() -> None:
    talk = Talk()
    talk.ask()
    (response,) = talk.state.responses
    twin = structs.replace(response, id="resp_twin")
    after = structs.replace(talk.state, responses=(response, twin))
    assert {v.invariant for v in violations(talk.state, after, [])} == {1, 2}


def test_a_message_holds_no_words_of_the_conversation() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("Secret ", 100.0))
    after, effects = step(talk.state, inp.CancelResponse())
    done = next(e for e in effects if isinstance(e, Emit) and isinstance(e.event, ev.ResponseDone))
    for effect in effects:
        rest = [e for e in effects if e is not effect]
        for violation in violations(talk.state, after, [*rest, done]):
            assert "Secret" not in violation.message
