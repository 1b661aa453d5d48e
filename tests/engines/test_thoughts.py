"""What is a thought and what is said, cut anywhere."""

from __future__ import annotations

import pytest

from voiced.engines.llm.thoughts import ThoughtFilter, thought_begun
from voiced.engines.llm.tool_calls import THOUGHT, Marks

EACH = pytest.mark.parametrize("marks", THOUGHT, ids=lambda marks: marks.begin)


def pieces(text: str) -> list[list[str]]:
    """`text` cut into pieces of each length, and in two at each place."""
    lengths = [[text[at : at + n] for at in range(0, len(text), n)] for n in (1, 2, 3, 5, 9, 99)]
    return [*lengths, *([text[:at], text[at:]] for at in range(1, len(text)))]


def said(parts: list[str], thinking: Marks | None = None) -> str:
    thoughts = ThoughtFilter(thinking=thinking)
    return "".join(map(thoughts.feed, parts)) + thoughts.finish()


@EACH
def test_a_thought_in_front_is_not_said(marks: Marks) -> None:
    text = f"{marks.begin}\nWhat <b> is 2 < 3?\n{marks.end}\n\nTwo is less. Really."
    assert {said(parts) for parts in pieces(text)} == {"Two is less. Really."}


@EACH
def test_a_thought_between_two_lines_is_not_said(marks: Marks) -> None:
    text = f"Let me see.\n  {marks.begin}Hm.{marks.end}\nIt is noon."
    assert {said(parts) for parts in pieces(text)} == {"Let me see.\n  It is noon."}


@EACH
def test_what_is_spoken_about_a_mark_is_said(marks: Marks) -> None:
    text = f"Write {marks.begin} in front and {marks.end} behind.\nAnd then\n{marks.begin[:-1]}"
    assert {said(parts) for parts in pieces(text)} == {text}


@EACH
def test_a_thought_without_an_end_is_not_said(marks: Marks) -> None:
    text = f"{marks.begin}Hm. Let me think. {marks.end[:-1]}"
    assert {said(parts) for parts in pieces(text)} == {""}


@EACH
def test_an_answer_may_begin_inside_a_thought(marks: Marks) -> None:
    text = f"Hm.\n{marks.end}\n\nIt is noon."
    assert {said(parts, marks) for parts in pieces(text)} == {"It is noon."}
    assert thought_begun(f"<|assistant|>\n{marks.begin}\n") == marks
    assert thought_begun(f"{marks.begin}{marks.end}\n\n") is None


@EACH
def test_a_lone_end_is_not_said(marks: Marks) -> None:
    """Of a thought whose beginning the server put into the prompt."""
    text = f"{marks.end}\n\nIt is noon."
    assert {said(parts) for parts in pieces(text)} == {"It is noon."}


def test_several_thoughts_one_after_the_other() -> None:
    text = "<think>a</think>\n<think>b</think>\n[THINK]c[/THINK] Noon."
    assert {said(parts) for parts in pieces(text)} == {"Noon."}


def test_nothing_else_is_changed() -> None:
    text = "  a < b,\n\t<tool>\n [1, 2]\n<thin air>\n\n</thin>  "
    assert {said(parts) for parts in pieces(text)} == {text}


def test_words_are_passed_on_as_they_come() -> None:
    thoughts = ThoughtFilter()
    assert thoughts.feed("It is ") == "It is "
    assert thoughts.feed("a < ") == "a < "
    assert thoughts.feed("b\n<") == "b\n"
    assert thoughts.feed("c") == "<c"


def test_it_knows_whether_it_thinks() -> None:
    thoughts = ThoughtFilter()
    assert (thoughts.thinking, thoughts.thought) == (False, False)
    thoughts.feed("<think>")
    assert (thoughts.thinking, thoughts.thought) == (True, True)
    thoughts.feed("</think>")
    assert (thoughts.thinking, thoughts.thought) == (False, True)
