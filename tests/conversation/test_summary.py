"""The oldest turns in a few words: which they are, what the model is shown, and when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec import convert

from voiced.conversation import inputs as inp
from voiced.conversation.config import Audio, AudioIn, AudioOut, SessionConfig
from voiced.conversation.context import build_messages
from voiced.conversation.core import begin, step
from voiced.conversation.effects import Generate
from voiced.conversation.given import NewMessage
from voiced.conversation.summary import HEADING, oldest_turns, question_about

if TYPE_CHECKING:
    from voiced.conversation.state import State

CONFIG = SessionConfig(
    id="sess_1",
    model="voiced",
    instructions="Be kind.",
    expires_at=0,
    audio=Audio(input=AudioIn(turn_detection=None), output=AudioOut(voice="v", speed=1.0)),
    output_modalities=("text",),
)


def typed(number: int) -> list[inp.Input]:
    """A turn: what the user typed, and an answer to it."""
    content = [{"type": "input_text", "text": f"question {number}"}]
    item = {"type": "message", "id": f"user_{number}", "role": "user", "content": content}
    said = [{"type": "output_text", "text": f"answer {number}"}]
    answer = {"type": "message", "id": f"answer_{number}", "role": "assistant", "content": said}
    return [inp.CreateItem(item=convert(new, NewMessage)) for new in (item, answer)]


@pytest.fixture
def state() -> State:
    state, _ = begin(CONFIG, seed="s", history_items=100)
    for number in range(6):
        for event in typed(number):
            state, _ = step(state, event)
    assert len(state.entries) == 12
    return state


def oldest(state: State) -> list[str]:
    lengths = [10] * len(state.entries)
    return [entry.item.id for entry in oldest_turns(state.entries, lengths)]


def summed_up(state: State, *item_ids: str, text: str = "They spoke of much.") -> State:
    ids = frozenset(item_ids or oldest(state))
    return step(state, inp.Summarised(text=text, item_ids=ids))[0]


def shown(state: State) -> list[dict[str, Any]]:
    """What the model is asked with for a response that begins now."""
    _, effects = step(state, inp.CreateResponse(overrides={}))
    [generate] = [effect for effect in effects if isinstance(effect, Generate)]
    return list(generate.messages)


def test_whole_turns_are_summed_up_and_the_newest_stay(state: State) -> None:
    ids = oldest(state)
    assert ids[0] == "user_0"
    assert ids[-1].startswith("answer_")
    assert 0 < len(ids) <= 8


def test_a_short_conversation_is_left_alone(state: State) -> None:
    assert oldest_turns(state.entries[:4], [10] * 4) == []
    assert oldest_turns((), []) == []


def test_the_model_is_shown_the_summary_in_their_place(state: State) -> None:
    before = shown(state)
    covered = oldest(state)
    after = shown(summed_up(state))
    assert after[0]["content"] == f"Be kind.\n\n{HEADING}\nThey spoke of much."
    assert after[1:] == before[1 + len(covered) :]
    assert after[1]["role"] == "user"


def test_the_items_stay_in_the_conversation(state: State) -> None:
    assert summed_up(state).entries == state.entries


def test_a_second_summary_takes_in_the_first(state: State) -> None:
    once = summed_up(state, "user_0", "answer_0", text="First.")
    twice = summed_up(once, "user_1", "answer_1", text="First and second.")
    texts = [message["content"] for message in shown(twice)]
    assert texts[0].endswith("First and second.")
    assert texts[1] == "question 2"
    asked = question_about(build_messages(state.entries[2:4], ""), once.summary)
    assert "First." in asked[-1]["content"]
    assert "user: question 1" in asked[-1]["content"]


@pytest.mark.parametrize("item_id", ["user_0", "answer_1"])
def test_what_is_deleted_is_in_no_summary(state: State, item_id: str) -> None:
    after, _ = step(summed_up(state), inp.DeleteItem(item_id=item_id))
    assert after.summary is None
    texts = " ".join(message["content"] for message in shown(after))
    assert "spoke of much" not in texts
    assert "question 1" in texts or item_id == "user_1"


def test_deleting_another_item_leaves_it(state: State) -> None:
    after, _ = step(summed_up(state), inp.DeleteItem(item_id="answer_5"))
    assert after.summary is not None


def test_a_summary_of_what_has_gone_meanwhile_comes_too_late(state: State) -> None:
    gone, _ = step(state, inp.DeleteItem(item_id="user_0"))
    assert summed_up(gone, "user_0", "answer_0").summary is None


def test_a_response_with_input_of_its_own_is_shown_no_summary(state: State) -> None:
    content = [{"type": "input_text", "text": "hello"}]
    message = {"type": "message", "role": "user", "content": content}
    overrides = {"conversation": "none", "input": [message]}
    _, effects = step(summed_up(state), inp.CreateResponse(overrides=overrides))
    [generate] = [effect for effect in effects if isinstance(effect, Generate)]
    assert [m["content"] for m in generate.messages] == ["Be kind.", "hello"]
