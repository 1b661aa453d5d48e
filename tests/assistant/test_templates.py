"""The template syntax, held against hassil's own parser."""

from __future__ import annotations

from typing import Any

import hassil
import pytest

from voiced.assistant.network import Range, SlotList, Value, Values, build_network
from voiced.assistant.templates import TemplateError, Text, parse_template

# Up to 99: "a hundred" is understood here, but not by hassil.
LISTS: dict[str, SlotList] = {
    "device": Values((Value(Text("lamp"), "lamp"), Value(Text("bed light"), "bed light"))),
    "percent": Range(0, 99),
}
TEMPLATES = (
    "turn (on|off) [the] {device}",
    "turn [all] [of] the light[s] (on|off)",
    "what('s| is) the (time|date)",
    "set {device} to {percent} percent",
    "(set;{device}) now",
    "[please] (dim|turn down) [the|my] {device}[ now]",
    "a|b c|[d] e",
)


def sentences_of(template: str) -> set[str]:
    """Every sentence of the network, where numbers are few enough."""
    network = build_network(parse_template(template), LISTS, {})
    found: set[str] = set()
    waiting: list[tuple[int, str]] = [(0, "")]
    while waiting:
        state, said = waiting.pop()
        if state in network.finals:
            found.add(said)
        waiting += [(arc.to, f"{said} {arc.word}".strip()) for arc in network.arcs[state]]
    return found


def hassil_matches(template: str, sentence: str) -> bool:
    intents: dict[str, Any] = {
        "language": "en",
        "intents": {"Test": {"data": [{"sentences": [template]}]}},
        "lists": {
            "device": {"values": ["lamp", "bed light"]},
            "percent": {"range": {"from": 0, "to": 99}},
        },
    }
    return hassil.recognize(sentence, hassil.Intents.from_dict(intents)) is not None


@pytest.mark.parametrize("template", TEMPLATES)
def test_hassil_understands_every_sentence_of_a_template(template: str) -> None:
    sentences = sentences_of(template)
    assert sentences
    for sentence in sorted(sentences):
        assert hassil_matches(template, sentence), sentence


@pytest.mark.parametrize("template", TEMPLATES)
def test_hassil_has_no_sentence_that_is_not_in_the_network(template: str) -> None:
    sentences = sentences_of(template)
    words = sorted({word for sentence in sentences for word in sentence.split()})
    for sentence in sorted(sentences)[:40]:
        parts = sentence.split()
        for place in range(len(parts)):
            shorter = " ".join(parts[:place] + parts[place + 1 :])
            changed = " ".join([*parts[:place], words[place % len(words)], *parts[place + 1 :]])
            for other in {shorter, changed} - {""}:
                if other not in sentences:
                    assert not hassil_matches(template, other), other


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("turn (on", "'(' is not closed at column 6"),
        ("turn [on", "'[' is not closed at column 6"),
        ("turn on)", "unexpected ')' at column 8"),
        ("turn {device", "'{' is not closed at column 6"),
        ("turn <rule", "'<' is not closed at column 6"),
        ("turn {a b}", "a list is written {name}"),
        ("(a|b;c)", "need brackets"),
        ("", "is empty"),
        ("what time is it?", "'?' is not how it is said"),
        ("turn on 5 lamps", "'5' is not how it is said"),
        ("on\\", "a backslash stands before a character"),
    ],
)
def test_a_faulty_template_is_named_with_its_column(template: str, fault: str) -> None:
    with pytest.raises(TemplateError) as error:
        parse_template(template)
    assert fault in str(error.value)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("turn {nothing}", "there is no list {nothing}"),
        ("turn <nothing>", "there is no rule <nothing>"),
        ("<loop>", "contains itself"),
        ("[on]", "the sentence may be empty"),
        ("{percent}percent", "touches a word"),
        ("(a;b;c;d;e;f)", "in any order"),
    ],
)
def test_a_template_that_cannot_work_says_why(template: str, fault: str) -> None:
    with pytest.raises(TemplateError) as error:
        build_network(parse_template(template), LISTS, {"loop": parse_template("on <loop>")})
    assert fault in str(error.value)


def test_a_long_range_is_a_small_network() -> None:
    network = build_network(parse_template("{number}"), {"number": Range(0, 9_999)}, {})
    assert sum(map(len, network.arcs)) < 1_000


def test_weights_of_what_may_follow_add_up_to_one() -> None:
    for template in TEMPLATES:
        network = build_network(parse_template(template), LISTS, {})
        for state, arcs in enumerate(network.arcs):
            end = network.finals[state].weight if state in network.finals else 0.0
            assert sum(arc.weight for arc in arcs) + end == pytest.approx(1.0)
