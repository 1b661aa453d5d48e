"""Truncation is honest: what nobody heard leaves the model's context."""

from __future__ import annotations

import pytest

from tests.conversation.talk import Talk, audio
from voiced.conversation import inputs as inp
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import StoreItem

REPLY = (("One two three four. ", 400.0), ("Five six seven eight.", 400.0))


def cut(item_id: str, at_ms: int, content_index: int = 0) -> inp.TruncateItem:
    return inp.TruncateItem(
        item_id=item_id, content_index=content_index, audio_end_ms=at_ms, event_id="cut_1"
    )


def answered() -> tuple[Talk, str]:
    talk = Talk(detection=ServerVad())
    talk.type_in("Count.")
    return talk, talk.answer(*REPLY)


@pytest.mark.parametrize(
    ("at_ms", "known"),
    [
        (800, "One two three four. Five six seven eight."),
        (700, "One two three four. Five six seven"),
        (400, "One two three four."),
        (399, "One two three"),
        (100, "One"),
        (99, ""),
        (0, ""),
    ],
)
def test_40_the_model_knows_what_was_heard_and_no_more(at_ms: int, known: str) -> None:
    talk, item_id = answered()
    talk.take(cut(item_id, at_ms))
    assert talk.one("conversation.item.truncated")["audio_end_ms"] == at_ms
    stored = [effect.item for effect in talk.effects if isinstance(effect, StoreItem)]
    assert [getattr(item.content[0], "transcript", None) for item in stored] == [known]  # type: ignore[union-attr]
    expected = [("user", "Count."), ("assistant", known)]
    assert talk.context() == [(role, text) for role, text in expected if text]
    talk.take(inp.RetrieveItem(item_id=item_id))
    (part,) = talk.one("conversation.item.retrieved")["item"]["content"]
    assert "transcript" not in part or not part["transcript"]


@pytest.mark.parametrize("over_ms", [1, 85, 500])
def test_40_a_small_overshoot_is_clamped(over_ms: int) -> None:
    talk, item_id = answered()
    talk.take(cut(item_id, 800 + over_ms))
    assert talk.one("conversation.item.truncated")["audio_end_ms"] == 800
    assert talk.context()[1][1] == "One two three four. Five six seven eight."


@pytest.mark.parametrize("over_ms", [501, 5_000, 10**9])
def test_40_a_large_one_is_an_error_and_changes_nothing(over_ms: int) -> None:
    talk, item_id = answered()
    before = talk.state
    talk.take(cut(item_id, 800 + over_ms))
    error = talk.one("error")["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "audio_end_ms")
    assert error["event_id"] == "cut_1"
    assert talk.state == before


def test_40_what_cannot_be_truncated_is_told_apart() -> None:
    talk, item_id = answered()
    talk.take(cut("item_nobody_knows", 0))
    assert talk.one("error")["error"]["code"] == "item_truncate_invalid_item_id"
    talk.take(cut(talk.state.entries[0].item.id, 0))
    assert talk.one("error")["error"]["code"] == "unsupported_content_type"
    talk.take(cut(item_id, 100, content_index=1))
    error = talk.one("error")["error"]
    assert (error["code"], error["param"]) == ("invalid_value", "content_index")
    written = talk.answer(("In writing.", 0.0), output_modalities=["text"])
    talk.take(cut(written, 0))
    assert talk.one("error")["error"]["code"] == "unsupported_content_type"


def test_41_a_truncation_is_taken_before_and_after_the_interrupted_reply_is_closed() -> None:
    for early in (True, False):
        talk = Talk(detection=ServerVad(interrupt_response=not early))
        talk.type_in("Count.")
        response_id = talk.ask()
        talk.speak(response_id, *REPLY)
        item_id = talk.state.entries[-1].item.id
        talk.take(inp.SpeechStarted(900))
        if early:  # the client's truncate overtakes its own cancel
            talk.take(cut(item_id, 400))
            assert talk.types == ["conversation.item.truncated"]
            talk.take(inp.CancelResponse())
        else:
            assert "response.done" in talk.types
            talk.take(cut(item_id, 400))
            assert talk.types == ["conversation.item.truncated"]
        assert talk.context()[1] == ("assistant", "One two three four.")


def test_what_a_client_cut_stays_cut_when_the_reply_goes_on() -> None:
    talk = Talk(detection=ServerVad())
    response_id = talk.ask()
    talk.speak(response_id, REPLY[0])
    item_id = talk.state.entries[-1].item.id
    talk.take(cut(item_id, 200))
    talk.speak(response_id, REPLY[1])
    talk.take(inp.ReplyEnded(response_id=response_id, finish="stop"))
    assert talk.context() == [("assistant", "One two")]
    talk.take(cut(item_id, 800))
    assert talk.one("conversation.item.truncated")["audio_end_ms"] == 200


def test_a_paused_reply_that_goes_on_was_heard_whole_and_an_interrupted_one_to_the_pause() -> None:
    for real in (True, False):
        talk = Talk(detection=ServerVad(), holds=True)
        talk.type_in("Count.")
        response_id = talk.ask()
        talk.speak(response_id, ("One two three four. ", 200.0), whole_ms=400.0)
        talk.take(inp.SpeechStarted(900))
        if real:
            talk.take(inp.SpeechConfirmed("stop"))
            assert talk.context()[1] == ("assistant", "One two")
        else:
            talk.take(inp.SpeechDismissed(), audio(response_id, 0, 200.0, 400.0))
            assert talk.context()[1] == ("assistant", "One two three four.")


def test_a_reply_beside_the_conversation_is_no_item_of_it() -> None:
    talk, _ = answered()
    beside = talk.ask(conversation="none")
    talk.speak(beside, REPLY[0])
    talk.take(inp.ReplyEnded(response_id=beside, finish="stop"))
    item_id = talk.one("response.output_item.done")["item"]["id"]
    talk.take(cut(item_id, 100))
    assert talk.one("error")["error"]["code"] == "item_truncate_invalid_item_id"
