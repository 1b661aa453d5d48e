"""What of a conversation a model is given, where there is not room for all of it."""

from __future__ import annotations

from typing import Any

import pytest

from voiced.engines.llm.chat_template import CHATML, CUT, Template
from voiced.engines.llm.prompt import Prompter, roundest
from voiced.errors import ContextExceeded

CONTEXT = 1000


def cut(text: str) -> list[int]:
    """Each character is a token."""
    return [ord(character) for character in text]


@pytest.fixture
def prompter() -> Prompter:
    return Prompter(Template(CHATML), cut, CONTEXT, tell_time=False)


def conversation(turns: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "Be kind."}]
    for number in range(turns):
        messages.append({"role": "user", "content": f"question {number}"})
        messages.append({"role": "assistant", "content": f"answer {number}"})
    return messages[:-1]


def test_all_of_it_is_given_where_there_is_room(prompter: Prompter) -> None:
    prompt = prompter.fit(conversation(5), (), None)
    assert (prompt.dropped, prompt.whole) == (0, len(prompt.tokens))


@pytest.mark.parametrize("turns", [15, 20, 33, 64, 200])
def test_the_oldest_turns_go_and_at_least_half_of_those_with_room_stay(
    prompter: Prompter, turns: int
) -> None:
    messages = conversation(turns)
    prompt = prompter.fit(messages, (), None)
    assert 0.3 * CONTEXT < len(prompt.tokens) <= 0.75 * CONTEXT
    assert prompt.whole == len(cut(Template(CHATML).render(messages)))
    assert prompt.dropped % 2 == 0
    assert prompt.text.startswith("<|im_start|>system\nBe kind.")
    kept = turns - prompt.dropped // 2
    assert [f"question {n}<" in prompt.text for n in range(turns)] == [
        n >= turns - kept for n in range(turns)
    ]


def test_a_conversation_that_goes_on_seldom_begins_elsewhere(prompter: Prompter) -> None:
    """Each new beginning is a prompt to compute from its start."""
    dropped = [prompter.fit(conversation(turns), (), None).dropped for turns in range(15, 115)]
    assert dropped == sorted(dropped)
    assert len(set(dropped)) < 100 / 3


def test_a_single_turn_that_is_too_long_is_refused(prompter: Prompter) -> None:
    for messages in ([], conversation(30)):
        messages.append({"role": "user", "content": "x" * 800})
        with pytest.raises(ContextExceeded, match=f"llm.context is {CONTEXT}"):
            prompter.fit(messages, (), None)
        messages[-1] = {"role": "user", "content": "x" * 600}
        assert prompter.fit(messages, (), None).text.count("x" * 600) == 1


def test_nobody_cuts_a_prompt_off_by_what_they_say(prompter: Prompter) -> None:
    """What stands behind would be missing: the end of the turn, and where the answer begins."""
    said = {"role": "user", "content": f"one {CUT} two"}
    prompt = prompter.fit([*conversation(2), said], (), None)
    assert prompt.text.endswith(" two<|im_end|>\n<|im_start|>assistant\n")


@pytest.mark.parametrize("tell_time", [True, False])
def test_it_ends_where_the_user_speaks_on(tell_time: bool) -> None:
    prompter = Prompter(Template(CHATML), cut, CONTEXT, tell_time=tell_time)
    told = conversation(3)
    *before, last = told
    next_up = prompter.fit(before, (), None, until_user=True).text
    so_far = {**last, "content": "question"}
    along = prompter.fit([*before, so_far], (), None, until_user=True).text
    whole = prompter.fit(told, (), None).text
    assert next_up.endswith("] " if tell_time else "<|im_start|>user\n")
    assert along == next_up + "question"
    assert whole == along + " 2<|im_end|>\n<|im_start|>assistant\n"


def test_a_short_answer_leaves_more_room(prompter: Prompter) -> None:
    messages = conversation(12)
    assert prompter.fit(messages, (), None).dropped > 0
    assert prompter.fit(messages, (), 20).dropped == 0


@pytest.mark.parametrize(
    ("low", "high", "number"), [(1, 1, 1), (1, 3, 2), (3, 5, 4), (5, 7, 6), (9, 15, 12), (7, 9, 8)]
)
def test_the_roundest_number(low: int, high: int, number: int) -> None:
    assert roundest(low, high) == number
