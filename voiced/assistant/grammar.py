"""One small automaton of all sentences, words only: what a speech recogniser searches.

Each arc has a probability. Every sentence of the file is as likely as another, and so is every
word that a template allows in one place; without that, a list of many numbers would win over a
sentence with few choices just by having more ways to sound like it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voiced.assistant.network import Network
    from voiced.assistant.sentences import Sentences

_SKIP = 0.02  # how likely a phrase to skip is before a sentence, and behind it


class Grammar(msgspec.Struct, frozen=True):
    """A deterministic automaton without cycles; state 0 is first.

    `arcs[state]` maps a word to the next state and the probability of taking it;
    `finals[state]` is the probability of ending there.
    """

    arcs: tuple[dict[str, tuple[int, float]], ...]
    finals: dict[int, float]

    def accepts(self, words: Iterable[str]) -> bool:
        """True where the words are a whole sentence."""
        state = 0
        for word in words:
            if word not in self.arcs[state]:
                return False
            state = self.arcs[state][word][0]
        return state in self.finals


def build_grammar(sentences: Sentences) -> Grammar:
    """All sentences that are spoken, with at most one phrase to skip before and one after."""
    joined = _Joined()
    before = joined.add(sentences.before, [0], _SKIP)
    ends = joined.add([s.network for s in sentences.sentences if s.spoken], [*before, 0], 1.0)
    joined.finals = {*ends, *joined.add(sentences.after, ends, _SKIP)}
    return _minimised(*_determinised(joined))


class _Joined:
    """Networks one behind the other: word arcs by state, and empty steps with a probability."""

    def __init__(self) -> None:
        self.arcs: list[list[tuple[str, int, float]]] = [[]]
        self.empty: list[list[tuple[int, float]]] = [[]]
        self.finals: set[int] = set()
        self.ends: dict[int, float] = {}

    def add(self, networks: Sequence[Network], behind: list[int], share: float) -> list[int]:
        """Add networks as alternatives behind all of the given states; returns their ends.

        `share` of what arrives at those states goes on into the networks.
        """
        if not networks:
            return []
        start = len(self.arcs)
        self.arcs.append([])
        self.empty.append([])
        for state in behind:
            taken = sum(weight for _, weight in self.empty[state])
            self.empty[state].append((start, (1.0 - taken) * share))
        ends: list[int] = []
        for network in networks:
            base = len(self.arcs)
            self.empty[start].append((base, 1.0 / len(networks)))
            self.arcs += [
                [(arc.word, base + arc.to, arc.weight) for arc in arcs] for arcs in network.arcs
            ]
            self.empty += [[] for _ in network.arcs]
            self.ends |= {base + state: end.weight for state, end in network.finals.items()}
            ends += [base + state for state in network.finals]
        return ends

    def spread(self, arriving: dict[int, float]) -> dict[int, float]:
        """Follow the empty steps: how much is where before the next word."""
        resting: dict[int, float] = {}
        waiting = list(arriving.items())
        while waiting:
            state, mass = waiting.pop()
            waiting += [(to, mass * weight) for to, weight in self.empty[state]]
            kept = max(0.0, 1.0 - sum(weight for _, weight in self.empty[state]))
            resting[state] = resting.get(state, 0.0) + mass * kept
        return resting


def _determinised(
    joined: _Joined,
) -> tuple[list[dict[str, int]], list[dict[str, float]], list[float]]:
    """States by set, then the flow of probability through their arcs and ends."""
    start = frozenset(joined.spread({0: 1.0}))
    numbers = {start: 0}
    order = [start]
    arcs: list[dict[str, int]] = []
    for states in order:  # grows while it is walked
        reached: dict[str, set[int]] = {}
        for state in states:
            for word, to, _ in joined.arcs[state]:
                reached.setdefault(word, set()).add(to)
        leaving: dict[str, int] = {}
        for word in sorted(reached):
            following = frozenset(joined.spread(dict.fromkeys(reached[word], 1.0)))
            if following not in numbers:
                numbers[following] = len(order)
                order.append(following)
            leaving[word] = numbers[following]
        arcs.append(leaving)
    arriving: list[dict[int, float]] = [{} for _ in order]
    arriving[0] = {0: 1.0}
    flows: list[dict[str, float]] = [{} for _ in order]
    ends = [0.0] * len(order)
    for number in _topological(arcs):
        for state, mass in joined.spread(arriving[number]).items():
            end = joined.ends.get(state, 0.0)
            total = end + sum(weight for _, _, weight in joined.arcs[state])
            if state in joined.finals:
                ends[number] += mass * end / total
            for word, to, weight in joined.arcs[state]:
                share = mass * weight / total
                flows[number][word] = flows[number].get(word, 0.0) + share
                into = arriving[arcs[number][word]]
                into[to] = into.get(to, 0.0) + share
    return arcs, flows, ends


def _topological(arcs: list[dict[str, int]]) -> list[int]:
    """The states, each before those that it leads to."""
    done: set[int] = set()
    order: list[int] = []
    waiting = [(0, iter(set(arcs[0].values())))]
    while waiting:
        state, following = waiting[-1]
        to = next((to for to in following if to not in done), None)
        if to is None:
            waiting.pop()
            if state not in done:
                done.add(state)
                order.append(state)
        else:
            waiting.append((to, iter(set(arcs[to].values()))))
    return order[::-1]


def _minimised(
    arcs: list[dict[str, int]], flows: list[dict[str, float]], ends: list[float]
) -> Grammar:
    """Merge states with the same future (Moore's partition refinement)."""
    block = [int(end > 0) for end in ends]
    count = len(set(block))
    while True:
        # Block numbers in order of first appearance keep the start state first.
        numbers: dict[tuple[int, frozenset[tuple[str, int]]], int] = {}
        refined: list[int] = []
        for state, leaving in enumerate(arcs):
            future = (block[state], frozenset((word, block[to]) for word, to in leaving.items()))
            refined.append(numbers.setdefault(future, len(numbers)))
        block = refined
        if len(numbers) == count:
            break
        count = len(numbers)
    merged: list[dict[str, tuple[int, float]]] = [{} for _ in range(count)]
    finals: dict[int, float] = {}
    for state, leaving in enumerate(arcs):
        into = merged[block[state]]
        for word, to in leaving.items():
            flow = into[word][1] if word in into else 0.0
            into[word] = (block[to], flow + flows[state][word])
        if ends[state] > 0:
            finals[block[state]] = finals.get(block[state], 0.0) + ends[state]
    for number, leaving_flows in enumerate(merged):
        total = sum(flow for _, flow in leaving_flows.values()) + finals.get(number, 0.0)
        merged[number] = {word: (to, flow / total) for word, (to, flow) in leaving_flows.items()}
        if number in finals:
            finals[number] /= total
    return Grammar(tuple(merged), finals)
