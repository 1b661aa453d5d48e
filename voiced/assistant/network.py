"""From the tree of a template to a network of words that can be walked.

The network of a sentence has states, and arcs that each take one word. Slots are kept as
*marks* on the arcs: a slot opens before a word and closes with its value after one. Sentences are
never enumerated: alternatives are branches, so a number of a hundred values is a few dozen arcs.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.numerals import number_template
from voiced.assistant.templates import (
    Alternative,
    ListReference,
    Node,
    Permutation,
    RuleReference,
    Sequence,
    TemplateError,
    Text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_PERMUTED = 5  # 120 orders


class Value(msgspec.Struct, frozen=True):
    """One value of a list: how it is said, and what the slot then holds."""

    said: Node
    value: Any


class Values(msgspec.Struct, frozen=True):
    """A list of values in words."""

    values: tuple[Value, ...]


class Range(msgspec.Struct, frozen=True):
    """A list of all numbers from `first` to `last` in steps of `step`."""

    first: int
    last: int
    step: int = 1
    decimals: bool = False

    def holds(self, number: float) -> bool:
        """True where `number` belongs to the range."""
        if not self.first <= number <= self.last + (1 if self.decimals else 0):
            return False
        return self.decimals or (number - self.first) % self.step == 0


SlotList = Values | Range


class Mark(msgspec.Struct, frozen=True):
    """The slot `slot` begins here, or ends with `value`, which is a `Range` for number words."""

    slot: str
    ends: bool = False
    value: Any = None


Marks = tuple[Mark, ...]


class Arc(msgspec.Struct, frozen=True):
    """Take `word` to go on to state `to`; `marks` happened before that word.

    `weight` is how likely it is among all that may follow there.
    """

    word: str
    to: int
    marks: Marks
    weight: float


class End(msgspec.Struct, frozen=True):
    """The sentence may be over, after these marks; `weight` is how likely that is."""

    marks: Marks
    weight: float


class Network(msgspec.Struct, frozen=True):
    """The words of one template. State 0 is the start; the sentence may end in `finals`."""

    arcs: tuple[tuple[Arc, ...], ...]
    finals: dict[int, End]


def build_network(
    template: Node, lists: Mapping[str, SlotList], rules: Mapping[str, Node]
) -> Network:
    """Compile one template.

    Raises `TemplateError` for a list or rule that does not exist, a rule inside itself, a list
    that touches a word without a blank, and a template that an empty text would match.
    """
    fragments = _Fragments(lists, rules)
    end = fragments.add(template, 0, ())
    return _words(fragments.edges, end)


_SPACE = " "
_Label = str | Mark | None
_Edges = list[list[tuple[_Label, int, float]]]


class _Fragments:
    """A network of pieces of words, blanks, marks and empty edges, as the template has them."""

    def __init__(self, lists: Mapping[str, SlotList], rules: Mapping[str, Node]) -> None:
        self.lists = lists
        self.rules = rules
        self.edges: _Edges = [[]]

    def state(self) -> int:
        self.edges.append([])
        return len(self.edges) - 1

    def edge(self, start: int, label: _Label, end: int | None = None, weight: float = 1.0) -> int:
        target = self.state() if end is None else end
        self.edges[start].append((label, target, weight))
        return target

    def add(self, node: Node, start: int, inside: tuple[str, ...]) -> int:
        """Add `node` behind `start` and return the state after it."""
        match node:
            case Text(text):
                return self.text(text, start)
            case Sequence(items):
                for item in items:
                    start = self.add(item, start, inside)
                return start
            case Alternative(items, weights):
                end = self.state()
                alike = (1.0 / len(items),) * len(items)
                for item, weight in zip(items, weights or alike, strict=True):
                    begin = self.edge(start, None, weight=weight)
                    self.edge(self.add(item, begin, inside), None, end)
                return end
            case Permutation(items):
                if len(items) > _MOST_PERMUTED:
                    raise TemplateError(f"more than {_MOST_PERMUTED} parts in any order")
                spaced = [Sequence((Text(_SPACE), item, Text(_SPACE))) for item in items]
                orders = tuple(Sequence(order) for order in permutations(spaced))
                return self.add(Alternative(orders), start, inside)
            case RuleReference(name):
                if name not in self.rules:
                    raise TemplateError(f"there is no rule <{name}>")
                if name in inside:
                    raise TemplateError(f"the rule <{name}> contains itself")
                return self.add(self.rules[name], start, (*inside, name))
            case ListReference():
                return self.slot(node, start, inside)

    def text(self, text: str, start: int) -> int:
        words = text.split()
        if text[:1].isspace() or not words:
            start = self.edge(start, _SPACE) if text else start
        for index, word in enumerate(words):
            if index:
                start = self.edge(start, _SPACE)
            start = self.edge(start, word)
        if words and text[-1:].isspace():
            start = self.edge(start, _SPACE)
        return start

    def slot(self, reference: ListReference, start: int, inside: tuple[str, ...]) -> int:
        inline = reference.inline_range
        values = Range(*inline) if inline else self.lists.get(reference.name)
        if values is None:
            raise TemplateError(f"there is no list {{{reference.name}}}")
        start = self.edge(start, Mark(reference.slot))
        if isinstance(values, Range):
            said = number_template(values.first, values.last, values.step, decimals=values.decimals)
            after = self.add(said, start, inside)
            return self.edge(after, Mark(reference.slot, True, values))
        end = self.state()
        for value in values.values:
            begin = self.edge(start, None, weight=1.0 / len(values.values))
            after = self.add(value.said, begin, inside)
            self.edge(after, Mark(reference.slot, True, value.value), end)
        return end


def _words(edges: _Edges, end: int) -> Network:
    """Join pieces to words: a state is a place in the fragments between two words."""
    # (place, whether a blank must come before the next word)
    states: dict[tuple[int, bool], int] = {(0, False): 0}
    order = [(0, False)]
    arcs: list[dict[tuple[str, int, Marks], float]] = []
    finals: dict[int, End] = {}
    for place, glued in order:  # grows while it is walked
        number = len(arcs)
        found: dict[tuple[str, int, Marks], float] = {}
        for marks, piece, after, weight in _next_pieces(edges, place, glued, end):
            if piece is None:
                before = finals.get(number, End(marks, 0.0))
                finals[number] = End(before.marks, before.weight + weight)
                continue
            for word, behind, share in _completed(edges, piece, after, end):
                key = (behind, True)
                if key not in states:
                    states[key] = len(order)
                    order.append(key)
                way = (word, states[key], marks)
                found[way] = found.get(way, 0.0) + weight * share
        arcs.append(found)
    if 0 in finals:
        raise TemplateError("the sentence may be empty")
    return _trimmed(arcs, finals)


def _next_pieces(
    edges: _Edges, place: int, glued: bool, end: int
) -> Iterator[tuple[Marks, str | None, int, float]]:
    """The first pieces of the words that may follow, in order, with their weights; None stands
    for the end."""
    waiting: list[tuple[int, bool, Marks, float]] = [(place, glued, (), 1.0)]
    while waiting:
        at, still_glued, marks, share = waiting.pop()
        if at == end:
            yield marks, None, at, share
        later: list[tuple[int, bool, Marks, float]] = []
        for label, to, weight in edges[at]:
            if label is None:
                later.append((to, still_glued, marks, share * weight))
            elif isinstance(label, Mark):
                later.append((to, still_glued, (*marks, label), share * weight))
            elif label == _SPACE:
                later.append((to, False, marks, share * weight))
            elif not still_glued:
                yield marks, label, to, share * weight
            elif marks:
                raise TemplateError(f"the list {{{marks[-1].slot}}} touches a word: add a blank")
        waiting.extend(reversed(later))


def _completed(edges: _Edges, piece: str, place: int, end: int) -> list[tuple[str, int, float]]:
    """All words that begin with `piece` and go on at `place`: the place behind, the weight."""
    words: list[tuple[str, int, float]] = []
    waiting = [(piece, place, 1.0)]
    while waiting:
        word, at, share = waiting.pop()
        outside = at == end
        later: list[tuple[str, int, float]] = []
        for label, to, weight in edges[at]:
            if label is None:
                later.append((word, to, share * weight))
            elif isinstance(label, Mark) or label == _SPACE:
                outside = True
            else:
                later.append((word + label, to, share * weight))
        if outside:
            words.append((word, at, share))
        waiting.extend(reversed(later))
    return words


def _trimmed(arcs: list[dict[tuple[str, int, Marks], float]], finals: dict[int, End]) -> Network:
    """Without the ways from which no end can be reached."""
    backwards: dict[int, set[int]] = {}
    for state, leaving in enumerate(arcs):
        for _, to, _ in leaving:
            backwards.setdefault(to, set()).add(state)
    alive = set(finals)
    waiting = list(finals)
    while waiting:
        for state in backwards.get(waiting.pop(), ()):
            if state not in alive:
                alive.add(state)
                waiting.append(state)
    kept = tuple(
        tuple(
            Arc(word, to, marks, weight)
            for (word, to, marks), weight in leaving.items()
            if to in alive
        )
        for leaving in arcs
    )
    return Network(kept, finals)
