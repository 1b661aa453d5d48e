"""From a text to its meaning: intent and slots. Pure, and the same for typed and spoken text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from voiced.assistant.network import Mark, Network, Range
from voiced.assistant.numerals import parse_number
from voiced.assistant.replies import spoken_number
from voiced.assistant.sentences import Intent
from voiced.assistant.written import spoken_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voiced.assistant.sentences import Sentence, Sentences

LONGEST_CHARS = 2_000
MOST_WORDS = 128
"""No sentence is longer; the longest shipped has 42 words. A text beyond either bound is not
looked into, since finding where a sentence begins in it costs the square of its length."""


class Slot(msgspec.Struct, frozen=True):
    """A slot as it was found: the words from `first` to before `last`, and their value."""

    name: str
    value: Any
    first: int
    last: int
    numeric: bool = False


class Understanding(msgspec.Struct, frozen=True):
    """What a sentence means. `words` are as spoken; `written` is with numbers in digits."""

    intent: Intent
    slots: dict[str, Any]
    words: tuple[str, ...]
    written: str
    place: str


class _Step(msgspec.Struct, frozen=True):
    """One word taken: the marks before it, and the way here."""

    before: _Step | None
    marks: tuple[Mark, ...]


class Understander:
    """Recognises sentences. Holds no state between calls."""

    def __init__(self, sentences: Sentences) -> None:
        self._sentences = sentences
        self._compiled = [(sentence, _Walk(sentence.network)) for sentence in sentences.sentences]
        self._before = [_Walk(network) for network in sentences.before]
        self._after = [_Walk(network) for network in sentences.after]

    def understand(self, text: str) -> Understanding | None:
        """The meaning of `text`, the first template in the file that fits; None where none does.

        Takes milliseconds for any text: one that is longer than a sentence can be fits none.
        """
        # Before anything else: normalising Unicode is quadratic at worst.
        text = " ".join(text.split())
        if len(text) > LONGEST_CHARS:
            return None
        return self.understand_words(spoken_words(text, self._sentences.written))

    def understand_words(self, words: Sequence[str]) -> Understanding | None:
        """The same for words as they are spoken, such as a recogniser's."""
        if len(words) > MOST_WORDS:
            return None
        for first, last in self._bare(words):
            for sentence, walk in self._compiled:
                for slots in walk.matches(words[first:last]):
                    return _understanding(sentence, slots, words, first)
        return None

    def _bare(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where the sentence may begin and end: all of it, then without phrases to skip."""
        begins, ends = [0], [len(words)]
        for begin in begins:
            for walk in self._before:
                begins += [
                    begin + n for n in walk.prefixes(words[begin:]) if begin + n not in begins
                ]
        for walk in self._after:
            ends += [n for n in range(len(words)) if n not in ends and walk.accepts(words[n:])]
        for first in begins:
            yield from ((first, last) for last in ends if first < last)


class _Walk:
    """A network with its arcs by word."""

    def __init__(self, network: Network) -> None:
        self.finals = network.finals
        self.arcs: list[dict[str, list[tuple[int, tuple[Mark, ...]]]]] = []
        for leaving in network.arcs:
            by_word: dict[str, list[tuple[int, tuple[Mark, ...]]]] = {}
            for arc in leaving:
                by_word.setdefault(arc.word, []).append((arc.to, arc.marks))
            self.arcs.append(by_word)

    def prefixes(self, words: Sequence[str]) -> list[int]:
        """How many words each fitting beginning has."""
        states, fitting = {0}, []
        for count, word in enumerate(words, 1):
            states = {to for state in states for to, _ in self.arcs[state].get(word, ())}
            if not states:
                break
            if not states.isdisjoint(self.finals):
                fitting.append(count)
        return fitting

    def accepts(self, words: Sequence[str]) -> bool:
        """True where all the words fit."""
        return len(words) in self.prefixes(words)

    def matches(self, words: Sequence[str]) -> Iterator[list[Slot]]:
        """The slots of each way through the network, in the order of its alternatives."""
        threads: dict[int, _Step | None] = {0: None}
        for word in words:
            following: dict[int, _Step | None] = {}
            for state, step in threads.items():
                for to, marks in self.arcs[state].get(word, ()):
                    following.setdefault(to, _Step(step, marks))
            if not following:
                return
            threads = following
        for state, step in threads.items():
            if state in self.finals:
                slots = _slots(step, self.finals[state].marks, words)
                if slots is not None:
                    yield slots


def _slots(step: _Step | None, last: tuple[Mark, ...], words: Sequence[str]) -> list[Slot] | None:
    """The slots along a way; None where a number is outside of its range."""
    marked: list[tuple[int, Mark]] = [(len(words), mark) for mark in last]
    position = len(words)
    before: list[list[tuple[int, Mark]]] = []
    while step is not None:
        position -= 1
        before.append([(position, mark) for mark in step.marks])
        step = step.before
    slots: list[Slot] = []
    begun: dict[str, int] = {}
    for at, mark in [pair for group in reversed(before) for pair in group] + marked:
        if not mark.ends:
            begun[mark.slot] = at
            continue
        first, value = begun[mark.slot], mark.value
        number = parse_number(words[first:at])
        if isinstance(value, Range):
            if number is None or not value.holds(number):
                return None
            value = number
        # "an hour" stays as it is, "one hour" is written with a digit.
        numeric = number is not None and value == number and words[first:at] != ["a"]
        slots.append(Slot(mark.slot, value, first, at, numeric))
    return slots


def _understanding(
    sentence: Sentence, slots: list[Slot], words: Sequence[str], shift: int
) -> Understanding:
    values: dict[str, Any] = {}
    for slot in slots:
        more = slot.name in values
        values[slot.name] = _together(values[slot.name], slot.value) if more else slot.value
    written = list(words)
    for slot in reversed(slots):
        if slot.numeric:
            written[slot.first + shift : slot.last + shift] = [spoken_number(slot.value)]
    return Understanding(
        intent=sentence.intent,
        slots={**sentence.slots, **values},
        words=tuple(words),
        written=" ".join(written),
        place=sentence.place,
    )


def _together(one: Any, other: Any) -> Any:  # noqa: ANN401 - slots hold what the files say
    """A slot that is filled twice: numbers add up, everything else is joined."""
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return one + other
    return f"{one} {other}"
