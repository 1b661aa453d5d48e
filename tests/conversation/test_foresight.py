"""Answers that are begun in advance: which guess counts, and for which question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conversation.talk import Talk
from voiced.conversation import inputs as inp
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import DropPrepared, Prepare

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = "what time is it"


def quiet() -> Talk:
    """Nobody has said anything yet."""
    return Talk(detection=ServerVad(), transcribes=True, foresees=True)


def speaking() -> Talk:
    """Somebody is in the middle of a turn."""
    talk = quiet()
    talk.take(inp.SpeechStarted(0))
    return talk


def guess(revision: int, text: str = NOON) -> inp.TurnGuessed:
    return inp.TurnGuessed(revision=revision, text=text)


def begun(talk: Talk) -> list[int]:
    """The revisions of what the last inputs had begun."""
    return [effect.revision for effect in talk.effects if isinstance(effect, Prepare)]


def dropped(talk: Talk) -> list[int]:
    return [effect.revision for effect in talk.effects if isinstance(effect, DropPrepared)]


def end_turn(talk: Talk, text: str = NOON) -> int | None:
    """The turn ends with that transcript; which answer was taken up."""
    item_id = talk.state.speech_item
    assert item_id is not None
    talk.take(
        inp.SpeechStopped(500), inp.TranscriptReady(item_id=item_id, text=text, duration_s=0.5)
    )
    return talk.generated[-1].prepared


def test_the_answer_to_a_right_guess_is_taken_up() -> None:
    talk = speaking()
    talk.take(guess(1))
    assert begun(talk) == [1]
    assert end_turn(talk) == 1
    assert dropped(talk) == []


def test_a_guess_that_comes_too_late_begins_nothing() -> None:
    talk = speaking()
    talk.take(inp.GuessDropped(1))
    talk.take(guess(1))  # the recogniser answered when they went on already
    assert talk.effects == []
    talk.take(guess(2), guess(1, "something that was said before"))
    assert begun(talk) == [2]
    assert dropped(talk) == []
    assert end_turn(talk) == 2


def test_a_guess_at_a_turn_that_is_over_begins_nothing() -> None:
    talk = speaking()
    talk.take(inp.SpeechStopped(500))
    talk.take(guess(1))
    assert begun(talk) == []
    talk.take(inp.SpeechStarted(900))
    talk.take(guess(2))  # the transcript of the first turn is not there yet
    assert begun(talk) == []


def test_a_guess_where_nobody_speaks_begins_nothing() -> None:
    talk = quiet()
    talk.take(guess(1))
    assert begun(talk) == []


def test_what_is_dropped_is_no_newer_guess() -> None:
    talk = speaking()
    talk.take(guess(2), inp.GuessDropped(1))
    assert dropped(talk) == []
    assert end_turn(talk) == 2
    other = speaking()
    other.take(guess(2), inp.GuessDropped(2))
    assert dropped(other) == [2]
    assert end_turn(other) is None


def test_the_same_guess_again_goes_on_with_the_same_answer() -> None:
    talk = speaking()
    talk.take(guess(1), guess(2))
    assert begun(talk) == [1]
    assert end_turn(talk) == 1


@pytest.mark.parametrize("text", ["", "  "])
def test_where_nothing_was_said_nothing_is_asked(text: str) -> None:
    talk = speaking()
    talk.take(guess(1, text))
    assert talk.effects == []


def another_instruction(talk: Talk) -> None:
    talk.take(inp.UpdateSession(session={"type": "realtime", "instructions": "Be brief."}))


def another_limit(talk: Talk) -> None:
    """No word of the question is another."""
    talk.take(inp.UpdateSession(session={"type": "realtime", "max_output_tokens": 7}))


def another_message(talk: Talk) -> None:
    talk.type_in("In Tokyo, I mean.")


@pytest.mark.parametrize("change", [another_instruction, another_limit, another_message])
def test_another_question_is_not_answered_in_advance(change: Callable[[Talk], None]) -> None:
    talk = speaking()
    talk.take(guess(1))
    change(talk)
    assert end_turn(talk) is None
    assert talk.state.prepared is None


def test_another_transcript_is_another_question() -> None:
    talk = speaking()
    talk.take(guess(1))
    assert end_turn(talk, "what time was it") is None
    assert dropped(talk) == [1]
