"""`idle_timeout_ms`: when time runs, and what a silence leads to."""

from __future__ import annotations

import pytest

from tests.conversation.talk import Talk, typed
from voiced.conversation import inputs as inp
from voiced.conversation.detection import SemanticVad, ServerVad, TurnDetection
from voiced.conversation.effects import ArmIdle, Generate

IDLE_MS = 6_000
PATIENT = ServerVad(idle_timeout_ms=IDLE_MS)
SILENCE = inp.IdleTimeout(4_000, 10_000)


def armed(talk: Talk) -> list[int | None]:
    """What the last `take` asked of the clock."""
    return [effect.milliseconds for effect in talk.effects if isinstance(effect, ArmIdle)]


def answered(detection: TurnDetection | None = PATIENT, *, transcribes: bool = False) -> Talk:
    talk = Talk(detection=detection, transcribes=transcribes)
    talk.type_in("Hello.")
    talk.answer(("Hello, what can I do?", 900.0))
    return talk


def test_time_runs_from_the_end_of_a_response() -> None:
    talk = Talk(detection=PATIENT)
    assert armed(talk) == [], "nobody has said anything yet"
    talk.type_in("Hello.")
    response_id = talk.ask()
    assert armed(talk) == []
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    assert armed(talk) == [IDLE_MS]


@pytest.mark.parametrize("detection", [ServerVad(), SemanticVad(), None])
def test_time_runs_only_where_it_was_asked_for(detection: TurnDetection | None) -> None:
    talk = answered(detection)
    assert armed(talk) == []
    talk.take(SILENCE)
    assert talk.effects == []


def test_a_silence_is_a_turn_without_words_and_the_model_asks_once() -> None:
    talk = answered(transcribes=True)
    talk.take(SILENCE)
    assert talk.types == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
    ]
    triggered = talk.one("input_audio_buffer.timeout_triggered")
    assert (triggered["audio_start_ms"], triggered["audio_end_ms"]) == (4_000, 10_000)
    item = talk.one("conversation.item.done")["item"]
    assert triggered["item_id"] == talk.one("input_audio_buffer.committed")["item_id"] == item["id"]
    assert item["content"] == [{"type": "input_audio", "transcript": None}]
    completed = talk.one("conversation.item.input_audio_transcription.completed")
    assert (completed["transcript"], completed["usage"]["seconds"]) == ("", 6.0)
    assert [effect for effect in talk.effects if isinstance(effect, Generate)]
    told = talk.generated[-1].messages[-1]
    assert (told["role"], told["name"]) == ("system", "silence")
    assert "still there" in told["content"]

    # It is asked once: who does not answer is left in peace.
    response_id = talk.one("response.created")["response"]["id"]
    talk.speak(response_id, ("Are you still there?", 800.0))
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    assert armed(talk) == []
    talk.take(SILENCE)
    assert talk.effects == []
    # After the next turn it is as before, and the model is no more told of the old silence.
    talk.type_in("Yes.")
    talk.answer(("Good.", 300.0))
    assert armed(talk) == [IDLE_MS]
    assert not [m for m in talk.generated[-1].messages if m.get("name") == "silence"]
    assert talk.context() == [
        ("user", "Hello."),
        ("assistant", "Hello, what can I do?"),
        ("assistant", "Are you still there?"),
        ("user", "Yes."),
        ("assistant", "Good."),
    ]


def test_whoever_takes_a_turn_stops_the_clock() -> None:
    talk = answered()
    talk.take(inp.SpeechStarted(3_000))
    assert armed(talk) == [None]
    talk.take(inp.ClearAudio())
    assert armed(talk) == [IDLE_MS], "that was none, and it begins anew"
    talk.take(typed("And now?"))
    assert armed(talk) == [None]
    for event in (inp.CommitAudio(buffered_ms=500), inp.CreateResponse(overrides={})):
        talk = answered()
        talk.take(event)
        assert armed(talk) == [None]
        talk.take(SILENCE)
        assert talk.effects == []


def test_what_is_no_turn_does_not_stop_it() -> None:
    talk = answered()
    item_id = talk.state.entries[-1].item.id
    beside = talk.ask(conversation="none")
    talk.take(
        inp.RetrieveItem(item_id=item_id),
        inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=100),
        inp.CommitAudio(buffered_ms=10),
        inp.ReplyEnded(response_id=beside, finish="stop"),
    )
    assert armed(talk) == []
    assert talk.state.idle_ms == IDLE_MS


def test_an_announcement_is_no_turn_of_anybody() -> None:
    talk = Talk(detection=PATIENT)
    announce(talk)
    assert armed(talk) == [], "nobody has said anything yet"
    talk.type_in("Hello.")
    talk.answer(("Hello, what can I do?", 900.0))
    announce(talk)
    assert armed(talk) == [None, IDLE_MS], "the user is still awaited"
    talk.take(SILENCE)
    prompt = talk.one("response.created")["response"]["id"]
    talk.take(inp.ReplyEnded(response_id=prompt, finish="stop"))
    announce(talk)
    assert armed(talk) == [], "who was asked once is left in peace"


def announce(talk: Talk) -> None:
    """The daemon says something unasked, to its end."""
    talk.take(inp.Announce("The pasta timer is over."))
    effects = talk.effects
    response_id = talk.one("response.created")["response"]["id"]
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    talk.effects = [*effects, *talk.effects]


def test_a_change_of_the_session_is_followed() -> None:
    talk = answered()
    for detection, expected in (
        ({"type": "server_vad", "idle_timeout_ms": 9_000}, [9_000]),
        ({"type": "server_vad", "idle_timeout_ms": None}, [None]),
        ({"type": "server_vad", "idle_timeout_ms": 5_000}, [5_000]),
        ({"type": "semantic_vad"}, [None]),
    ):
        patch = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
        talk.take(inp.UpdateSession(session=patch))
        assert armed(talk) == expected


@pytest.mark.parametrize("idle_ms", [4_999, 30_001, "soon"])
def test_times_out_of_bounds_are_refused(idle_ms: object) -> None:
    talk = Talk(detection=ServerVad())
    detection = {"type": "server_vad", "idle_timeout_ms": idle_ms}
    patch = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
    talk.take(inp.UpdateSession(session=patch))
    assert talk.one("error")["error"]["param"] == (
        "session.audio.input.turn_detection.idle_timeout_ms"
    )


def test_without_create_response_the_client_decides() -> None:
    talk = answered(ServerVad(idle_timeout_ms=IDLE_MS, create_response=False))
    talk.take(SILENCE)
    assert talk.types[-1] == "conversation.item.done"
    talk.ask()
    assert talk.generated[-1].messages[-1]["name"] == "silence"


def test_a_client_at_work_on_a_function_is_not_hurried() -> None:
    talk = Talk(detection=PATIENT)
    tools = [{"type": "function", "name": "open_door"}]
    talk.take(inp.UpdateSession(session={"type": "realtime", "tools": tools}))
    talk.type_in("Open the door.")
    response_id = talk.ask()
    talk.take(
        inp.ReplyCall(response_id=response_id, call_id="call_1", name="open_door", arguments="{}"),
        inp.ReplyEnded(response_id=response_id, finish="stop"),
    )
    assert talk.types[-1] == "response.done"
    assert armed(talk) == []
