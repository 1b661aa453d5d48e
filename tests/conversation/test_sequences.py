"""Event orders of the protocol, exactly: each test is one sequence that clients rely on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conversation.talk import Talk, audio, typed
from voiced.conversation import inputs as inp
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import (
    Abort,
    ClaimAudio,
    Close,
    Configure,
    DropAudio,
    Emit,
    Generate,
    StoreItem,
)

USER_ITEM = ["conversation.item.added", "conversation.item.done"]
OPENING = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
AUDIO_CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
TEXT_CLOSING = [
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
DELTA = "response.output_audio_transcript.delta"
SOUND = "response.output_audio.delta"


def kinds(talk: Talk) -> list[str]:
    """The effects of the last take, events by their type."""
    return [
        str(effect.event.__struct_config__.tag)
        if isinstance(effect, Emit)
        else type(effect).__name__
        for effect in talk.effects
    ]


def test_a_connect_and_configure() -> None:
    talk = Talk()
    assert talk.types == ["session.created"]
    keys = (
        "type object id model output_modalities instructions tools tool_choice "
        "max_output_tokens tracing truncation prompt expires_at audio include"
    )
    assert list(talk.events[0]["session"]) == keys.split()
    talk.take(inp.UpdateSession(session={"type": "realtime", "instructions": "Be brief."}))
    assert talk.types == ["session.updated"]
    assert talk.events[0]["session"]["instructions"] == "Be brief."
    assert isinstance(talk.effects[0], Configure)


def test_b_text_turn_sent_in_one_burst() -> None:
    talk = Talk()
    talk.take(
        typed("What time is it?"), inp.CreateResponse(overrides={"output_modalities": ["text"]})
    )
    assert talk.types == [*USER_ITEM, "response.created"]
    added, user_done, created = talk.events
    assert added["previous_item_id"] is None
    assert added["item"] == user_done["item"]
    assert added["item"]["status"] == "completed"
    assert added["item"]["content"] == [{"type": "input_text", "text": "What time is it?"}]
    response = created["response"]
    assert (response["status"], response["output"], response["usage"]) == ("in_progress", [], None)
    assert response["status_details"] is None
    ids: Any = response["id"]
    talk.take(
        inp.ReplyText(response_id=ids, text="It is "),
        inp.ReplyText(response_id=ids, text="noon."),
        inp.ReplyEnded(response_id=ids, finish="stop", input_tokens=9, output_tokens=4),
    )
    assert talk.types == [*OPENING, *["response.output_text.delta"] * 2, *TEXT_CLOSING]
    item = {"id": talk.events[0]["item"]["id"], "type": "message", "role": "assistant"}
    opened = {**item, "status": "in_progress", "content": []}
    assert talk.events[0]["item"] == opened
    assert talk.events[1]["item"] == opened
    assert talk.events[1]["previous_item_id"] == added["item"]["id"]
    assert talk.events[2]["part"] == {"type": "text", "text": ""}
    assert talk.one("response.output_text.done")["text"] == "It is noon."
    assert talk.one("response.content_part.done")["part"] == {"type": "text", "text": "It is noon."}
    closed = {
        **item,
        "status": "completed",
        "content": [{"type": "output_text", "text": "It is noon."}],
    }
    assert talk.one("conversation.item.done")["item"] == closed
    assert talk.one("conversation.item.done")["previous_item_id"] == added["item"]["id"]
    done = talk.one("response.done")["response"]
    assert done["output"][0] == closed
    assert (done["status"], done["status_details"]) == ("completed", None)
    assert done["usage"]["total_tokens"] == 13
    for event in talk.events[2:7]:
        assert (event["response_id"], event["item_id"]) == (ids, item["id"])
        assert (event["output_index"], event["content_index"]) == (0, 0)


def test_c_spoken_turn() -> None:
    talk = Talk(detection=ServerVad(), transcribes=True)
    before = talk.type_in("Hello.")
    talk.take(inp.SpeechStarted(120))
    assert talk.types == ["input_audio_buffer.speech_started"]
    user = talk.events[0]["item_id"]
    assert talk.events[0]["audio_start_ms"] == 120
    talk.take(inp.SpeechStopped(1_420))
    assert kinds(talk) == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        *USER_ITEM,
        "StoreItem",
        "ClaimAudio",
        "response.created",
    ]
    stopped, committed, added, item_done, created = talk.events
    assert (stopped["audio_end_ms"], stopped["item_id"]) == (1_420, user)
    assert (committed["previous_item_id"], committed["item_id"]) == (before, user)
    assert added["previous_item_id"] == item_done["previous_item_id"] == before
    assert added["item"] == item_done["item"]
    assert added["item"]["id"] == user
    assert added["item"]["status"] == "completed"
    assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert created["response"]["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24_000}

    # Only with the words of the user is the model asked.
    talk.take(inp.TranscriptReady(item_id=user, text="Turn on the lamp.", duration_s=1.3))
    assert kinds(talk) == [
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "StoreItem",
        "Generate",
    ]
    _, completed = talk.events
    assert completed["transcript"] == "Turn on the lamp."
    assert completed["usage"] == {"type": "duration", "seconds": 1.3}
    assert talk.generated[-1].messages[-1] == {"role": "user", "content": "Turn on the lamp."}

    response_id = created["response"]["id"]
    talk.take(
        inp.ReplyText(response_id=response_id, text="The lamp "),
        audio(response_id, 0, 100.0),
        inp.ReplyText(response_id=response_id, text="is on."),
        audio(response_id, 1, 100.0),
        inp.ReplyEnded(response_id=response_id, finish="stop"),
    )
    assert talk.types == [*OPENING, DELTA, SOUND, DELTA, SOUND, *AUDIO_CLOSING]
    assert talk.events[1]["previous_item_id"] == user
    assert talk.events[2]["part"] == {"type": "audio", "transcript": ""}
    transcript = "The lamp is on."
    assert talk.one("response.output_audio_transcript.done")["transcript"] == transcript
    part = talk.one("response.content_part.done")["part"]
    assert part == {"type": "audio", "transcript": transcript}
    item = talk.one("conversation.item.done")["item"]
    assert item["content"] == [{"type": "output_audio", "transcript": transcript}]
    assert talk.one("response.done")["response"]["status"] == "completed"


def test_c_without_an_answer() -> None:
    talk = Talk(detection=ServerVad(create_response=False))
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(900))
    assert talk.types[-3:] == ["input_audio_buffer.committed", *USER_ITEM]
    assert talk.state.responses == ()


def test_d_push_to_talk() -> None:
    talk = Talk(detection=None)
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500))
    assert talk.types == []
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    assert kinds(talk) == ["input_audio_buffer.committed", *USER_ITEM, "StoreItem", "ClaimAudio"]
    user = talk.events[0]["item_id"]
    talk.take(inp.CreateResponse(overrides={}))
    assert kinds(talk) == ["response.created"]
    talk.take(inp.TranscriptReady(item_id=user, text="Hello.", duration_s=0.5))
    # Transcripts were not asked for; the model gets them all the same.
    assert kinds(talk) == ["StoreItem", "Generate"]


@pytest.mark.parametrize("buffered_ms", [0.0, 50.0, 99.9])
def test_d_commit_of_too_little(buffered_ms: float) -> None:
    talk = Talk(detection=None)
    talk.take(inp.CommitAudio(buffered_ms=buffered_ms, event_id="mine"))
    error = talk.one("error")["error"]
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "mine")
    assert error["param"] is None
    assert error["type"] == "invalid_request_error"
    talk.take(inp.ClearAudio())
    assert kinds(talk) == ["DropAudio", "input_audio_buffer.cleared"]
    assert isinstance(talk.effects[0], DropAudio)


def test_e_barge_in_while_the_response_goes_on() -> None:
    talk = Talk(detection=ServerVad())
    talk.type_in("Tell me a story.")
    response_id = talk.ask()
    talk.speak(response_id, ("Once upon ", 100.0), ("a time ", 50.0))
    talk.take(inp.SpeechStarted(3_000))
    assert kinds(talk) == [
        "input_audio_buffer.speech_started",
        "Abort",
        *AUDIO_CLOSING[:3],
        "StoreItem",
        *AUDIO_CLOSING[3:],
    ]
    transcript = talk.one("response.output_audio_transcript.done")["transcript"]
    assert transcript == "Once upon a time "
    assert talk.one("conversation.item.done")["item"]["status"] == "incomplete"
    item = talk.one("response.output_item.done")["item"]
    assert item["status"] == "incomplete"
    done = talk.one("response.done")["response"]
    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["usage"] is None  # nobody has counted

    talk.take(inp.TruncateItem(item_id=item["id"], content_index=0, audio_end_ms=80))
    assert talk.types == ["conversation.item.truncated"]
    # What the engines still had under way is dropped.
    talk.take(
        audio(response_id, 1, 100.0),
        inp.ReplyText(response_id=response_id, text="there"),
        inp.ReplyEnded(response_id=response_id, finish="stop"),
        inp.ReplyFailed(response_id=response_id, code="late", message="Late."),
    )
    assert talk.effects == []
    talk.take(inp.SpeechStopped(4_000))
    assert talk.types[0] == "input_audio_buffer.speech_stopped"
    assert talk.types[-1] == "response.created"


def test_e_truncate_may_come_before_the_closing_events() -> None:
    talk = Talk(detection=ServerVad(interrupt_response=False))
    response_id = talk.ask()
    talk.speak(response_id, ("One two ", 100.0), ("three four ", 100.0))
    item_id = talk.state.entries[-1].item.id
    talk.take(inp.SpeechStarted(0))
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=100))
    assert talk.types == ["conversation.item.truncated"]
    talk.take(inp.CancelResponse())
    assert talk.types == AUDIO_CLOSING
    assert talk.one("conversation.item.done")["item"]["content"] == [{"type": "output_audio"}]
    assert talk.context() == [("assistant", "One two")]


def test_e_interruption_switched_off() -> None:
    talk = Talk(detection=ServerVad(interrupt_response=False))
    response_id = talk.ask()
    talk.speak(response_id, ("I go on.", 100.0))
    talk.take(inp.SpeechStarted(0))
    assert talk.types == ["input_audio_buffer.speech_started"]
    talk.take(inp.SpeechStopped(900))
    assert talk.types == [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        *USER_ITEM,
    ]
    # The turn is answered when the response is over, once.
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    assert talk.types == [*AUDIO_CLOSING, "response.created"]
    second = talk.events[-1]["response"]["id"]
    talk.take(inp.ReplyEnded(response_id=second, finish="stop"))
    assert talk.types == ["response.done"]


def test_e_two_turns_while_a_response_goes_on_get_one_answer() -> None:
    talk = Talk(detection=ServerVad(interrupt_response=False))
    first = talk.ask()
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500), inp.SpeechStarted(600))
    talk.take(inp.ReplyEnded(response_id=first, finish="stop"))
    assert talk.types == ["response.done"]
    talk.take(inp.SpeechStopped(1_100))
    second = talk.one("response.created")["response"]["id"]
    talk.take(inp.ReplyEnded(response_id=second, finish="stop"))
    assert talk.types == ["response.done"]


def test_e2_barge_in_after_generation_ended() -> None:
    talk = Talk(detection=ServerVad())
    item_id = talk.answer(("A long reply.", 4_000.0))
    talk.take(inp.SpeechStarted(9_000))
    assert talk.types == ["input_audio_buffer.speech_started"]
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=1_000))
    assert talk.types == ["conversation.item.truncated"]


def test_f_cancel() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.take(inp.CancelResponse())
    assert kinds(talk) == ["Abort", "response.done"]
    done = talk.one("response.done")["response"]
    assert done["output"] == []
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    talk.take(inp.CancelResponse(response_id=response_id, event_id="again"))
    assert talk.types == ["error"]
    error = talk.events[0]["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "again")
    assert error["param"] is None

    response_id = talk.ask()
    talk.speak(response_id, ("Well, ", 100.0))
    talk.take(inp.CancelResponse(response_id=response_id))
    assert talk.types == AUDIO_CLOSING
    assert isinstance(talk.effects[0], Abort)
    assert isinstance(talk.effects[4], StoreItem)


def test_g_truncate() -> None:
    talk = Talk()
    item_id = talk.answer(("One two three four.", 2_000.0))
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=1_000))
    assert talk.events == [
        {
            "type": "conversation.item.truncated",
            "item_id": item_id,
            "content_index": 0,
            "audio_end_ms": 1_000,
        }
    ]
    talk.take(inp.RetrieveItem(item_id=item_id))
    assert talk.one("conversation.item.retrieved")["item"]["content"] == [{"type": "output_audio"}]


def test_g_overshoot_is_clamped_and_a_second_truncate_is_no_error() -> None:
    talk = Talk()
    item_id = talk.answer(("One two three four.", 2_000.0))
    cut = [2_500, 900, 1_800, 0]
    shown = []
    for at_ms in cut:
        talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=at_ms))
        shown.append(talk.one("conversation.item.truncated")["audio_end_ms"])
    assert shown == [2_000, 900, 900, 0]
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=2_501))
    assert talk.one("error")["error"]["code"] == "invalid_value"


def test_g_what_cannot_be_truncated() -> None:
    talk = Talk()
    user = talk.type_in("Hello.")
    talk.take(inp.TruncateItem(item_id=user, content_index=0, audio_end_ms=0))
    assert talk.one("error")["error"]["code"] == "unsupported_content_type"
    talk.take(inp.TruncateItem(item_id="nobody", content_index=0, audio_end_ms=0))
    assert talk.one("error")["error"]["code"] == "item_truncate_invalid_item_id"


def test_i_out_of_band_beside_the_conversation() -> None:
    talk = Talk(detection=ServerVad())
    user = talk.type_in("Tell me a story.")
    default = talk.ask()
    talk.take(
        inp.CreateResponse(
            overrides={
                "conversation": "none",
                "metadata": {"topic": "mood"},
                "output_modalities": ["text"],
                "input": [{"type": "item_reference", "id": user}],
            }
        )
    )
    created = talk.one("response.created")["response"]
    assert created["conversation_id"] is None
    assert created["metadata"] == {"topic": "mood"}
    beside = created["id"]
    talk.speak(default, ("Once ", 100.0))
    talk.take(inp.ReplyText(response_id=beside, text="Calm."))
    assert talk.types == [
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    talk.take(inp.SpeechStarted(0))
    assert talk.one("response.done")["response"]["id"] == default
    talk.take(inp.ReplyEnded(response_id=beside, finish="stop"))
    assert talk.types == TEXT_CLOSING
    assert talk.one("conversation.item.done")["previous_item_id"] is None
    assert talk.one("response.done")["response"]["metadata"] == {"topic": "mood"}
    assert len(talk.state.entries) == 2


def test_a_second_response_is_refused_with_the_clients_event_id() -> None:
    talk = Talk()
    active = talk.ask()
    talk.take(inp.CreateResponse(overrides={}, event_id="agents_js_response_create_1"))
    error = talk.one("error")["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "agents_js_response_create_1"
    assert active in error["message"]
    talk.take(inp.ReplyEnded(response_id=active, finish="stop"))
    assert talk.one("response.done")["response"]["status"] == "completed"


def test_a_derived_input_is_taken_as_what_it_derives_from() -> None:
    class Worse(inp.RefuseEvent, frozen=True, kw_only=True):
        pass

    talk = Talk()
    talk.take(Worse(code="invalid_json", message="Not JSON."))
    assert talk.one("error")["error"]["code"] == "invalid_json"


def test_responses_beside_the_conversation_are_bounded() -> None:
    talk = Talk()
    for _ in range(16):
        talk.ask(conversation="none", input=[])
    talk.take(inp.CreateResponse(overrides={"conversation": "none"}))
    assert talk.one("error")["error"]["code"] == "too_many_responses"
    talk.ask()


def test_a_reply_cut_by_its_length_is_incomplete() -> None:
    talk = Talk()
    response_id = talk.ask(max_output_tokens=5)
    talk.speak(response_id, ("One two", 100.0))
    talk.take(inp.ReplyEnded(response_id=response_id, finish="length"))
    assert talk.types == AUDIO_CLOSING
    done = talk.one("response.done")["response"]
    assert done["max_output_tokens"] == 5
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}


def test_an_engine_failure_closes_everything() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("One ", 100.0))
    talk.take(inp.ReplyFailed(response_id=response_id, code="engine_crashed", message="It died."))
    assert talk.types == AUDIO_CLOSING
    assert talk.one("response.done")["response"]["status_details"] == {
        "type": "failed",
        "error": {"type": "server_error", "code": "engine_crashed", "message": "It died."},
    }


def test_speech_that_cannot_be_recognised_fails_its_answer_only() -> None:
    talk = Talk(detection=ServerVad(), transcribes=True)
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500))
    first = talk.one("input_audio_buffer.committed")["item_id"]
    talk.take(inp.SpeechStarted(600), inp.SpeechStopped(900))
    second = talk.one("input_audio_buffer.committed")["item_id"]
    talk.take(inp.TranscriptFailed(item_id=first, code="engine_crashed", message="It died."))
    assert talk.types == ["conversation.item.input_audio_transcription.failed"]
    assert talk.events[0]["error"] == {
        "type": "transcription_error",
        "code": "engine_crashed",
        "message": "It died.",
    }
    talk.take(inp.TranscriptReady(item_id=second, text="Hello.", duration_s=0.3))
    assert isinstance(talk.effects[-1], Generate)
    talk.take(inp.SpeechStarted(2_000), inp.SpeechStopped(2_500))
    third = talk.one("input_audio_buffer.committed")["item_id"]
    talk.take(inp.TranscriptFailed(item_id=third, code="engine_crashed", message="It died."))
    assert talk.one("response.done")["response"]["status"] == "failed"


def test_nothing_is_said_of_an_item_that_was_deleted() -> None:
    talk = Talk(detection=ServerVad(), transcribes=True)
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500))
    user = talk.one("input_audio_buffer.committed")["item_id"]
    talk.take(inp.DeleteItem(item_id=user))
    talk.take(inp.TranscriptReady(item_id=user, text="Hello.", duration_s=0.5))
    # Clients would retrieve the item, and an unexpected error ends some of them.
    assert kinds(talk) == ["Generate"]


def test_the_words_of_a_deleted_item_are_not_taken_for_those_of_another() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500))
    user = talk.one("input_audio_buffer.committed")["item_id"]
    talk.take(inp.DeleteItem(item_id=user), typed("Anew.", item_id=user))
    assert talk.one("error")["error"]["param"] == "item.id"
    talk.take(inp.TranscriptReady(item_id=user, text="Hello.", duration_s=0.5))
    talk.take(typed("Anew.", item_id=user))
    assert talk.types == USER_ITEM
    assert talk.context() == [("user", "Anew.")]


def test_items_go_where_the_client_says() -> None:
    talk = Talk()
    first = talk.type_in("first")
    talk.type_in("last")
    talk.type_in("second", first)
    assert talk.one("conversation.item.added")["previous_item_id"] == first
    talk.type_in("front", "root")
    assert talk.one("conversation.item.added")["previous_item_id"] is None
    assert [text for _, text in talk.context()] == ["front", "first", "second", "last"]
    talk.take(typed("lost", "nobody", event_id="mine"))
    assert talk.types == ["error"]
    assert talk.events[0]["error"]["event_id"] == "mine"
    for taken in (first, "root"):
        talk.take(typed("again", item_id=taken))
        assert talk.one("error")["error"]["param"] == "item.id"
    talk.take(typed("x" * 65_537))
    assert talk.one("error")["error"]["code"] == "string_above_max_length"
    talk.take(inp.DeleteItem(item_id=first))
    assert talk.types == ["conversation.item.deleted"]
    talk.take(inp.DeleteItem(item_id=first))
    assert talk.one("error")["error"]["code"] == "item_delete_invalid_item_id"
    talk.take(inp.RetrieveItem(item_id=first))
    assert talk.one("error")["error"]["code"] == "item_retrieve_invalid_item_id"


def test_the_oldest_items_go_and_the_client_is_told() -> None:
    talk = Talk(history_items=3)
    ids = [talk.type_in(f"message {number}") for number in range(5)]
    assert talk.types == [*USER_ITEM, "conversation.item.deleted"]
    assert talk.events[-1]["item_id"] == ids[1]
    assert [entry.item.id for entry in talk.state.entries] == ids[2:]


def test_an_announcement_waits_for_silence_and_gives_way_to_the_client() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0), inp.Announce("The timer is over."))
    assert talk.types == ["input_audio_buffer.speech_started"]
    talk.take(inp.ClearAudio())
    assert talk.types == ["input_audio_buffer.cleared", "response.created"]
    talk.take(inp.CreateResponse(overrides={}))
    assert talk.types == ["response.done", "response.created"]
    answer = talk.events[-1]["response"]["id"]
    talk.take(inp.ReplyEnded(response_id=answer, finish="stop"))
    assert talk.types == ["response.done", "response.created"]
    words = "The timer is over."
    assert [effect.say for effect in talk.generated] == [words, None, words]


@pytest.mark.parametrize(
    ("end", "last"),
    [(inp.Expire(), ["error"]), (inp.ShutDown(), [])],
    ids=["expired", "shut down"],
)
def test_the_end_closes_every_response(end: inp.Input, last: list[str]) -> None:
    talk = Talk(detection=None)
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    talk.ask()  # waits for the transcript
    beside = talk.ask(conversation="none", input=[])
    talk.speak(beside, ("One ", 100.0))
    talk.take(end)
    assert talk.types.count("response.done") == 2
    assert talk.types[len(talk.types) - len(last) :] == last
    assert [effect.code for effect in talk.effects if isinstance(effect, Close)] == [1001]
    talk.take(typed("Anyone there?"), inp.CreateResponse(overrides={}), inp.ShutDown())
    assert talk.effects == []


def test_manual_commit_during_speech_takes_the_promised_item() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0))
    promised = talk.events[0]["item_id"]
    talk.take(inp.CommitAudio(buffered_ms=400.0))
    assert talk.one("input_audio_buffer.committed")["item_id"] == promised
    assert ClaimAudio(promised) in talk.effects
    talk.take(inp.SpeechStopped(900))
    assert talk.types == []
