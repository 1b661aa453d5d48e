"""What the model knows: what was said and heard, and nothing else."""

from __future__ import annotations

import pytest

from tests.conversation.talk import Talk, audio
from voiced.conversation import inputs as inp
from voiced.conversation.context import MOST_CONTEXT, build_messages
from voiced.conversation.detection import ServerVad
from voiced.conversation.effects import StoreItem
from voiced.conversation.items import Entry, InputText, Message, OutputAudio, Span

CLAUSES = (("One two three four, ", 1_000.0), ("five six.", 500.0))


def said_after(at_ms: int | None) -> list[tuple[str, str]]:
    talk = Talk()
    item_id = talk.answer(*CLAUSES)
    if at_ms is not None:
        talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=at_ms))
    return talk.context()


@pytest.mark.parametrize(
    ("at_ms", "heard"),
    [
        (None, "One two three four, five six."),
        (1_500, "One two three four, five six."),
        (1_499, "One two three four, five"),
        (1_250, "One two three four, five"),
        (1_249, "One two three four,"),
        (999, "One two three"),
        (500, "One two"),
        (499, "One"),
    ],
)
def test_the_model_knows_what_was_heard(at_ms: int | None, heard: str) -> None:
    assert said_after(at_ms) == [("assistant", heard)]


def test_a_truncation_at_the_very_end_costs_no_word() -> None:
    talk = Talk()
    item_id = talk.answer(("One two three.", 66.9))
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=100))
    assert talk.one("conversation.item.truncated")["audio_end_ms"] == 66
    assert talk.context() == [("assistant", "One two three.")]


@pytest.mark.parametrize("at_ms", [0, 100])
def test_a_reply_of_which_no_word_was_heard_was_never_made(at_ms: int) -> None:
    assert said_after(at_ms) == []


def test_words_not_yet_sent_are_not_heard() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.speak(response_id, ("Sent whole. ", 400.0), ("Not sent.", 0.0))
    assert talk.context() == [("assistant", "Sent whole.")]
    talk.take(inp.CancelResponse())
    assert talk.context() == [("assistant", "Sent whole.")]


def test_a_clause_sent_in_part_counts_in_part() -> None:
    talk = Talk()
    response_id = talk.ask()
    talk.take(
        inp.ReplyText(response_id=response_id, text="One two three four."),
        audio(response_id, 0, 500.0, 2_000.0),
        inp.CancelResponse(),
    )
    assert talk.context() == [("assistant", "One")]


@pytest.mark.parametrize("mark", ["... ", "* * * "])
def test_a_mark_without_audio_hides_nothing(mark: str) -> None:
    talk = Talk()
    item_id = talk.answer(("Well ", 200.0), (mark, 0.0), ("yes indeed.", 400.0))
    assert talk.context() == [("assistant", f"Well {mark}yes indeed.")]
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=450))
    assert talk.context() == [("assistant", f"Well {mark}yes")]
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=200))
    assert talk.context() == [("assistant", "Well")]


def test_a_reply_whose_voice_failed_was_read() -> None:
    talk = Talk()
    talk.answer(("It is noon.", 0.0))
    assert talk.context() == [("assistant", "It is noon.")]


def test_the_history_gets_what_was_heard() -> None:
    talk = Talk()
    item_id = talk.answer(*CLAUSES)
    talk.take(inp.TruncateItem(item_id=item_id, content_index=0, audio_end_ms=500))
    (stored,) = (effect.item for effect in talk.effects if isinstance(effect, StoreItem))
    assert isinstance(stored, Message)
    assert (stored.id, stored.content) == (item_id, (OutputAudio("One two"),))


def test_instructions_stand_first_and_items_in_their_order() -> None:
    talk = Talk()
    talk.take(inp.UpdateSession(session={"type": "realtime", "instructions": "Be brief."}))
    second = talk.type_in("second")
    talk.type_in("third")
    talk.type_in("first", "root")
    talk.answer(("Fourth.", 100.0))
    talk.take(inp.DeleteItem(item_id=second))
    assert talk.context() == [
        ("system", "Be brief."),
        ("user", "first"),
        ("user", "third"),
        ("assistant", "Fourth."),
    ]


def test_speech_is_waited_for_and_speech_without_words_is_shown_as_such() -> None:
    talk = Talk(detection=ServerVad())
    talk.take(inp.SpeechStarted(0), inp.SpeechStopped(500))
    user = talk.one("input_audio_buffer.committed")["item_id"]
    assert talk.generated == []
    talk.take(inp.TranscriptReady(item_id=user, text="", duration_s=0.5))
    assert talk.generated[-1].messages == ({"role": "user", "content": ""},)


def test_speech_committed_later_is_no_empty_message() -> None:
    talk = Talk()
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    first = talk.one("input_audio_buffer.committed")["item_id"]
    talk.ask()
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    talk.take(inp.TranscriptReady(item_id=first, text="Hello.", duration_s=0.5))
    assert talk.generated[-1].messages == ({"role": "user", "content": "Hello."},)


def test_a_given_context_replaces_the_conversation() -> None:
    talk = Talk()
    first = talk.type_in("first")
    talk.type_in("second")
    text = {"type": "input_text", "text": "given"}
    talk.ask(
        conversation="none",
        input=[
            {"type": "message", "role": "user", "content": [text]},
            {"type": "item_reference", "id": first},
        ],
    )
    assert [message["content"] for message in talk.generated[-1].messages] == ["given", "first"]
    talk.ask(conversation="none", input=[])
    assert talk.generated[-1].messages == ()


def test_a_referenced_item_is_waited_for_even_when_it_is_deleted() -> None:
    talk = Talk()
    talk.take(inp.CommitAudio(buffered_ms=500.0))
    user = talk.one("input_audio_buffer.committed")["item_id"]
    talk.ask(conversation="none", input=[{"type": "item_reference", "id": user}])
    talk.take(inp.DeleteItem(item_id=user))
    talk.take(inp.TranscriptReady(item_id=user, text="Hello.", duration_s=0.5))
    assert talk.generated[-1].messages == ({"role": "user", "content": "Hello."},)


def test_rounding_of_durations_costs_no_word() -> None:
    spans = tuple(Span(f"word{number} ", sent_ms=0.1 * number) for number in range(1, 40))
    item = Message(id="item_1", role="assistant", status="incomplete")
    (message,) = build_messages([Entry(item=item, spans=spans)], "")
    assert len(message["content"].split()) >= 37


def test_the_oldest_stays_out_of_a_prompt_that_would_grow_too_long() -> None:
    def typed(number: int, length: int) -> Entry:
        text = f"{number} " + "x" * length
        item = Message(
            id=f"item_{number}", role="user", status="completed", content=(InputText(text),)
        )
        return Entry(item=item)

    entries = [typed(number, MOST_CONTEXT // 4) for number in range(6)]
    shown = build_messages(entries, "Be brief.")
    assert shown[0] == {"role": "system", "content": "Be brief."}
    assert [message["content"][0] for message in shown[1:]] == ["3", "4", "5"]
    # One item that is too long by itself is still the question that was asked.
    assert len(build_messages([typed(7, MOST_CONTEXT)], "")) == 1
