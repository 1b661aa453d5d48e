"""The grammar for speech holds what the assistant understands, and nothing else."""

from __future__ import annotations

import random

import pytest

from tests.assistant.assistant_helpers import shipped_sentences, shipped_understander
from voiced.assistant.grammar import Grammar, build_grammar


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return build_grammar(shipped_sentences())


def random_sentence(grammar: Grammar, chance: random.Random) -> list[str]:
    words: list[str] = []
    state = 0
    while True:
        ways = [(word, to, share) for word, (to, share) in grammar.arcs[state].items()]
        stop = grammar.finals.get(state, 0.0)
        pick = chance.choices([*ways, None], [*(way[2] for way in ways), stop])[0]
        if pick is None:
            return words
        words.append(pick[0])
        state = pick[1]


def test_the_assistant_understands_whatever_the_grammar_allows(grammar: Grammar) -> None:
    chance = random.Random(7)
    intents: set[str] = set()
    for _ in range(2_000):
        words = random_sentence(grammar, chance)
        meaning = shipped_understander().understand_words(words)
        assert meaning is not None, words
        intents.add(meaning.intent.name)
        again = shipped_understander().understand(meaning.written)
        assert again is not None, meaning.written
        assert again.slots == meaning.slots, meaning.written
    assert intents == {sentence.intent.name for sentence in shipped_sentences().sentences}


@pytest.mark.parametrize(
    ("sentence", "whole"),
    [
        ("what time is it", True),
        ("what time is", False),
        ("turn on the living room lamp", True),
        ("turn on the living room", False),
        ("please turn all the lights off please", True),
        ("set a timer for five minutes", True),
        ("set a timer for five minute", False),
        ("set a timer for one hour and eighty minutes", False),
        ("seven times eight", False),  # typed only
        ("what is seven times eight", True),
    ],
)
def test_only_whole_sentences_are_accepted(grammar: Grammar, sentence: str, whole: bool) -> None:
    assert grammar.accepts(sentence.split()) is whole


def test_probabilities_add_up_to_one_in_every_state(grammar: Grammar) -> None:
    for state, arcs in enumerate(grammar.arcs):
        total = sum(share for _, share in arcs.values()) + grammar.finals.get(state, 0.0)
        assert total == pytest.approx(1.0)


def test_the_grammar_stays_small_enough_to_search(grammar: Grammar) -> None:
    assert len(grammar.arcs) < 1_000
    assert sum(map(len, grammar.arcs)) < 8_000
