"""A sound during a reply: held back, then an interruption from its onset on, or nothing at all."""

from __future__ import annotations

import pytest

from tests.conversation.talk import Talk, audio
from voiced.conversation import inputs as inp
from voiced.conversation.detection import SemanticVad, ServerVad, TurnDetection
from voiced.conversation.effects import Abort, DropAudio, EndHold, HoldReply
from voiced.conversation.hold import repeats

STARTED = "input_audio_buffer.speech_started"
DONE = "response.done"


def talking(detection: TurnDetection | None = None) -> tuple[Talk, str]:
    """Somebody listens to a reply, of which 400 ms were sent."""
    talk = Talk(detection=detection or ServerVad(), holds=True)
    talk.type_in("Tell me a story.")
    response_id = talk.ask()
    talk.speak(response_id, ("Once upon a time there was ", 400.0), whole_ms=800.0)
    return talk, response_id


def held() -> tuple[Talk, str]:
    """The same, and a sound began 3 s into the session."""
    talk, response_id = talking()
    talk.take(inp.SpeechStarted(3_000))
    return talk, response_id


def test_a_sound_pauses_the_reply_and_is_not_told() -> None:
    talk, response_id = held()
    assert talk.effects == [HoldReply(response_id)]
    talk.take(inp.SpeechDismissed())
    assert talk.effects == [EndHold(response_id)]
    # As if it had never been: the reply goes on and ends, the model knows all of it.
    talk.take(audio(response_id, 0, 400.0, 800.0))
    assert talk.types == ["response.output_audio.delta"]
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    assert talk.one(DONE)["response"]["status"] == "completed"
    assert talk.context()[-1] == ("assistant", "Once upon a time there was")
    assert talk.state.speech_item is None


@pytest.mark.parametrize("detection", [ServerVad(), SemanticVad()])
def test_words_make_it_an_interruption_from_its_onset_on(detection: TurnDetection) -> None:
    talk, response_id = talking(detection)
    talk.take(inp.SpeechStarted(3_000))
    talk.take(inp.SpeechConfirmed("stop it"))
    started = talk.one(STARTED)
    assert started["audio_start_ms"] == 3_000
    assert talk.types[0] == STARTED
    assert talk.one(DONE)["response"]["status_details"]["reason"] == "turn_detected"
    assert Abort(response_id, "turn_detected") in talk.effects
    assert talk.effects[-1] == EndHold(response_id)
    # Of what was only half sent, the half is known.
    assert talk.context()[1] == ("assistant", "Once upon a")
    talk.take(inp.SpeechStopped(4_000))
    assert talk.one("input_audio_buffer.committed")["item_id"] == started["item_id"]
    assert talk.types[-1] == "response.created"


def test_it_is_no_interruption_twice() -> None:
    talk, _ = held()
    talk.take(inp.SpeechStarted(3_100))
    assert talk.effects == []
    talk.take(inp.SpeechConfirmed(""))
    talk.take(inp.SpeechConfirmed("again"), inp.SpeechDismissed())
    assert talk.effects == []
    assert talk.state.speech_item is not None


def test_the_echo_of_the_reply_is_not_taken_for_words() -> None:
    talk, response_id = held()
    talk.take(inp.SpeechConfirmed("Once upon"))
    assert talk.effects == []
    talk.take(inp.SpeechConfirmed("once upon a table"))
    assert talk.types[0] == STARTED
    assert response_id not in {r.id for r in talk.state.responses}


@pytest.mark.parametrize(
    ("heard", "said", "echo"),
    [
        ("it is noon", "It is noon.", True),
        ("is noon", "It is noon, and warm.", True),
        ("noon it is", "It is noon.", False),
        ("noon", "It is noon.", False),  # one word may be the answer
        ("it is noon now", "It is noon.", False),
        ("", "It is noon.", False),
        ("it's noon", "It's noon!", True),
        ("it is", "", False),
    ],
)
def test_an_echo_is_a_run_of_the_replys_own_words(heard: str, said: str, echo: bool) -> None:
    assert repeats(heard, said) is echo


def test_what_the_client_does_meanwhile_wins() -> None:
    talk, response_id = held()
    talk.take(inp.CancelResponse())
    assert talk.one(DONE)["response"]["status_details"]["reason"] == "client_cancelled"
    assert talk.types.index(DONE) < talk.types.index(STARTED)
    talk, response_id = held()
    item_id = talk.state.entries[-1].item.id
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=200))
    assert talk.types[:2] == ["conversation.item.truncated", STARTED]
    assert talk.one(DONE)["response"]["status_details"]["reason"] == "turn_detected"
    assert talk.effects[-1] == EndHold(response_id)
    assert talk.context()[1] == ("assistant", "Once")


@pytest.mark.parametrize(
    "event",
    [
        inp.ReplyEnded(response_id="", finish="stop"),
        inp.ReplyFailed(response_id="", code="engine_crashed", message="It died."),
    ],
)
def test_when_the_reply_is_over_there_is_nothing_to_go_on_with(
    event: inp.ReplyEnded | inp.ReplyFailed,
) -> None:
    talk, response_id = held()
    talk.take(
        type(event)(
            **{
                **{f: getattr(event, f) for f in event.__struct_fields__},
                "response_id": response_id,
            }
        )
    )
    assert talk.types[-2:] == [DONE, STARTED]
    assert talk.one(STARTED)["audio_start_ms"] == 3_000


def test_a_commit_by_hand_is_meant_for_us_and_a_clear_is_not() -> None:
    talk, response_id = held()
    talk.take(inp.CommitAudio(buffered_ms=600))
    assert talk.types[0] == STARTED
    assert talk.one("input_audio_buffer.committed")["item_id"] == talk.one(STARTED)["item_id"]
    assert talk.one(DONE)["response"]["status"] == "cancelled"
    talk, response_id = held()
    talk.take(inp.ClearAudio())
    assert talk.effects[:2] == [EndHold(response_id), DropAudio()]
    assert talk.types == ["input_audio_buffer.cleared"]
    assert talk.state.active is not None


def test_a_commit_of_too_little_leaves_it_held() -> None:
    talk, _ = held()
    talk.take(inp.CommitAudio(buffered_ms=60))
    assert talk.types == ["error"]
    assert talk.state.held is not None


def test_a_change_of_the_turn_detection_decides_it() -> None:
    talk, response_id = held()
    off = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    talk.take(inp.UpdateSession(session=off))
    assert talk.effects[0] == EndHold(response_id)
    assert talk.types == ["session.updated"]
    talk, response_id = held()
    patient = {"type": "server_vad", "interrupt_response": False}
    talk.take(
        inp.UpdateSession(
            session={"type": "realtime", "audio": {"input": {"turn_detection": patient}}}
        )
    )
    assert talk.types == ["session.updated", STARTED]
    assert talk.state.active is not None
    assert EndHold(response_id) in talk.effects


def test_only_a_reply_that_is_heard_is_held() -> None:
    silent = Talk(detection=ServerVad(), holds=True)
    silent.take(inp.SpeechStarted(0))
    assert silent.types == [STARTED]
    before_audio = Talk(detection=ServerVad(), holds=True)
    before_audio.ask()
    before_audio.take(inp.SpeechStarted(0))
    assert before_audio.types[0] == STARTED
    written = Talk(detection=ServerVad(), holds=True)
    response_id = written.ask(output_modalities=["text"])
    written.take(inp.ReplyText(response_id=response_id, text="In writing."))
    written.take(inp.SpeechStarted(0))
    assert written.types[0] == STARTED
    cut, response_id = talking()
    cut.take(
        inp.TruncateItem(item_id=cut.state.entries[-1].item.id, content_index=0, audio_end_ms=100)
    )
    cut.take(inp.SpeechStarted(0))
    assert cut.types[0] == STARTED
    patient, _ = talking(ServerVad(interrupt_response=False))
    patient.take(inp.SpeechStarted(0))
    assert patient.types == [STARTED]


def test_a_response_beside_the_conversation_is_neither_held_nor_holds() -> None:
    talk = Talk(detection=ServerVad(), holds=True)
    beside = talk.ask(conversation="none")
    talk.speak(beside, ("Beside it all. ", 400.0))
    talk.take(inp.SpeechStarted(0))
    assert talk.types == [STARTED]
    talk, _ = talking()
    beside = talk.ask(conversation="none")
    talk.take(inp.SpeechStarted(3_000))
    talk.speak(beside, ("Beside it all. ", 400.0))
    assert talk.types[-1] == "response.output_audio.delta"
    talk.take(inp.SpeechConfirmed(""))
    assert [r.id for r in talk.state.responses] == [beside]


def test_without_the_setting_every_sound_interrupts() -> None:
    talk = Talk(detection=ServerVad())
    response_id = talk.ask()
    talk.speak(response_id, ("Once upon a time ", 400.0))
    talk.take(inp.SpeechStarted(3_000))
    assert talk.types[0] == STARTED
    assert Abort(response_id, "turn_detected") in talk.effects
