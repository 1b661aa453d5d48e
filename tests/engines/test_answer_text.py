"""What a model writes, in pieces of every length: words, calls, thoughts, stop strings."""

from __future__ import annotations

import pytest

from voiced.engines.llm.answer_text import AnswerText
from voiced.engines.llm.tool_calls import MARKS, THOUGHT, Call, Marks

NAMES = ("get_time", "set_light")
TIME = Call("get_time", {})
LIGHT = Call("set_light", {"room": "kitchen", "on": True})


def sort(
    text: str,
    step: int,
    *,
    stops: tuple[str, ...] = (),
    functions: tuple[str, ...] = NAMES,
    thinking: Marks | None = None,
    opened: Marks | None = None,
) -> tuple[list[str], AnswerText]:
    """`text` fed in pieces of `step` bytes; what was said after each, and the sorter."""
    answer = AnswerText(stops, functions, thinking=thinking, opened=opened)
    data, said = text.encode(), []
    for start in range(0, len(data), step):
        said.append(answer.feed(data[start : start + step]))
        if answer.stopped:
            break
    said.append(answer.finish())
    return said, answer


STEPS = pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])

CALLS = {
    "hermes": '<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>',
    "no arguments": '<tool_call>{"name": "get_time"}</tool_call>',
    "null": '<tool_call>{"name": "get_time", "arguments": null}</tool_call>',
    "text of arguments": '<tool_call>{"name": "get_time", "arguments": "{}"}</tool_call>',
    "as OpenAI's": '<tool_call>{"function": {"name": "get_time", "arguments": {}}}</tool_call>',
    "not closed": '<tool_call>\n{"name": "get_time", "arguments": {}}',
    "coder": "<tool_call>\n<function=get_time>\n</function>\n</tool_call>",
    "functionary": "<function=get_time>{}</function>",
    "mistral": '[TOOL_CALLS][{"name": "get_time", "arguments": {}}]',
    "new mistral": "[TOOL_CALLS]get_time[ARGS]{}",
    "mistral with id": "[TOOL_CALLS]get_time[CALL_ID]abc[ARGS]{}",
    "granite": '<|tool_call|>[{"name": "get_time", "arguments": {}}]',
    "lfm": "<|tool_call_start|>[get_time()]<|tool_call_end|>",
    "llama": '<|python_tag|>{"name": "get_time", "parameters": {}}',
    "plain": '{"name": "get_time", "parameters": {}}',
    "plain list": ' [{"name": "get_time", "arguments": {}}]\n',
    "fenced": '```json\n{"name": "get_time", "arguments": {}}\n```',
}


@STEPS
@pytest.mark.parametrize("form", CALLS)
def test_a_call_is_read_and_no_part_of_it_is_said(form: str, step: int) -> None:
    said, answer = sort(CALLS[form], step)
    assert answer.calls == [TIME]
    assert "".join(said) == ""
    assert answer.broken == ""


@STEPS
@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "set_light", "arguments": '
        '{"room": "kitchen", "on": true}}</tool_call>',
        "<tool_call><function=set_light>\n<parameter=room>\nkitchen\n</parameter>\n"
        "<parameter=on>true</parameter></function></tool_call>",
        '<|tool_call_start|>[set_light(room="kitchen", on=True)]<|tool_call_end|>',
    ],
)
def test_arguments_keep_their_types(text: str, step: int) -> None:
    assert sort(text, step)[1].calls == [LIGHT]


@STEPS
def test_words_before_a_call_are_said_and_several_calls_read(step: int) -> None:
    text = f"Let me see. {CALLS['hermes']}\n{CALLS['no arguments']}"
    said, answer = sort(text, step)
    assert "".join(said).strip() == "Let me see."
    assert answer.calls == [TIME, TIME]


@STEPS
def test_words_are_said_as_they_come(step: int) -> None:
    said, _ = sort("It is late.", step)
    assert "".join(said) == "It is late."
    assert len([part for part in said if part]) >= min(11 // step, 2)


@STEPS
def test_characters_of_several_bytes_are_whole(step: int) -> None:
    said, _ = sort("Grüße — 12 °C 🌡", step)
    assert "".join(said) == "Grüße — 12 °C 🌡"
    assert not any("\ufffd" in part for part in said)


@STEPS
@pytest.mark.parametrize("functions", [(), NAMES])
def test_nothing_of_a_stop_string_is_said(step: int, functions: tuple[str, ...]) -> None:
    said, answer = sort(
        "It is late.\nUser: and now?", step, stops=("\nUser:", "###"), functions=functions
    )
    assert "".join(said) == "It is late."
    assert answer.stopped


@STEPS
def test_what_only_begins_like_a_stop_string_is_said(step: int) -> None:
    said, answer = sort("a < b <tool is ##", step, stops=("###",))
    assert "".join(said) == "a < b <tool is ##"
    assert not answer.stopped


@STEPS
def test_the_earliest_stop_counts(step: int) -> None:
    assert "".join(sort("one two three", step, stops=("three", "two"))[0]) == "one "


@STEPS
def test_thoughts_are_nobodys_business(step: int) -> None:
    said, answer = sort("<think>\nHm, <tool_call>?\n</think>\n\nIt is late.", step)
    assert "".join(said) == "It is late."
    assert answer.calls == []


@STEPS
def test_an_answer_may_begin_inside_a_thought(step: int) -> None:
    said, _ = sort("Hm.\n</think>\nIt is late.", step, thinking=THOUGHT[0])
    assert "".join(said) == "It is late."


@STEPS
def test_a_thought_without_end_is_no_answer(step: int) -> None:
    assert "".join(sort("Hm, let me think", step, thinking=THOUGHT[0])[0]) == ""


@STEPS
def test_a_call_without_marks_behind_a_thought_is_a_call(step: int) -> None:
    said, answer = sort(f"<think>Hm.</think>\n\n{CALLS['plain']}", step)
    assert answer.calls == [TIME]
    assert "".join(said) == ""


@STEPS
def test_json_of_unknown_functions_is_words(step: int) -> None:
    text = '{"name": "launch", "arguments": {}}'
    said, answer = sort(text, step)
    assert "".join(said) == text
    assert answer.calls == []


@STEPS
def test_without_functions_marks_are_words(step: int) -> None:
    said, answer = sort(CALLS["hermes"], step, functions=())
    assert "".join(said) == CALLS["hermes"]
    assert answer.calls == []


@STEPS
@pytest.mark.parametrize(
    "body",
    [
        "set the light",
        '{"name": 3}',
        '["get_time"]',
        '{"name": "get_time", "arguments": [1]}',
        '{"name": "get_time", "arguments": {"a": }}',
        "<function=>",
        "",
        "[" * 20_000,
    ],
)
def test_what_is_no_call_is_told_apart(body: str, step: int) -> None:
    said, answer = sort(f"<tool_call>{body}</tool_call>", step)
    assert answer.calls == []
    assert answer.broken != ""
    assert "".join(said) == ""


@pytest.mark.parametrize(
    "body", ["__import__('os').system('true')", "f(1)", "f(a=g())", "[", "f(**{'a': 1})", "1"]
)
def test_python_is_read_and_not_run(body: str) -> None:
    _, answer = sort(f"<|tool_call_start|>{body}<|tool_call_end|>", 4)
    assert answer.calls == []
    assert answer.broken != ""


def test_a_call_that_never_ends_is_cut() -> None:
    said, answer = sort("<tool_call>" + "x" * 70_000, 1000)
    assert answer.stopped
    assert answer.broken == "it does not end"
    assert "".join(said) == ""


@STEPS
def test_an_opened_call_needs_no_mark(step: int) -> None:
    said, answer = sort('{"name": "get_time", "arguments": {}}', step, opened=Marks("", ""))
    assert answer.calls == [TIME]
    assert "".join(said) == ""


def test_every_mark_is_held_back_from_its_first_character() -> None:
    for marks in (*MARKS, *THOUGHT):
        answer = AnswerText((), NAMES)
        answer.feed(b"So.\n")
        for character in marks.begin:
            assert answer.feed(character.encode()) == "", marks.begin
