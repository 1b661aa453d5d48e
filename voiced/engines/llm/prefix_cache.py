"""Which sequence a prompt continues, so that only what is new of it is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


LITTLE = 32
"""Tokens that are computed again sooner than it is worth to keep them: about a sentence."""


class Memory(Protocol):
    """The sequences of a context; see `LlamaContext`."""

    copies: bool

    def truncate(self, sequence: int, length: int) -> bool: ...

    def copy(self, source: int, target: int, length: int) -> None: ...


class Taken:
    """A sequence made ready for a prompt: its first `kept` tokens are there already."""

    def __init__(self, sequence: int, kept: int) -> None:
        self.sequence = sequence
        self.kept = kept


class PrefixCache:
    """The tokens of each sequence, and when it was last used."""

    def __init__(self, memory: Memory, count: int) -> None:
        self._memory = memory
        self._tokens: list[list[int]] = [[] for _ in range(count)]
        self._used = [0] * count
        self._uses = 0

    def take(self, prompt: Sequence[int]) -> Taken:
        """A sequence that begins as `prompt` does as far as any, and holds nothing else.

        The last token is always left to compute, since what follows it is asked for. Where the
        prompt leaves much of the best sequence, that is another conversation's: it stays, and
        its beginning is taken over into the one that was used longest ago. Not so where that one
        would lose more: a conversation may leave the end of a reply that was interrupted.
        """
        shared = [common_prefix(tokens, prompt[:-1]) for tokens in self._tokens]
        order = sorted(range(len(shared)), key=lambda i: (-shared[i], self._used[i]))
        lost = [len(tokens) - kept for tokens, kept in zip(self._tokens, shared, strict=True)]
        best = order[0]
        oldest = min(range(len(shared)), key=lambda i: self._used[i])
        if oldest != best and lost[best] > max(LITTLE, lost[oldest] // 2):
            return self._fork(best, oldest, shared[best])
        return self._cut(best, shared[best])

    def _fork(self, source: int, target: int, length: int) -> Taken:
        self._memory.truncate(target, 0)
        self._tokens[target] = []
        if not self._memory.copies:
            length = 0
        if length:
            self._memory.copy(source, target, length)
            self._tokens[target] = self._tokens[source][:length]
        return self._mark(target, length)

    def _cut(self, sequence: int, length: int) -> Taken:
        if length < len(self._tokens[sequence]) and not self._memory.truncate(sequence, length):
            self._memory.truncate(sequence, 0)
            length = 0
        del self._tokens[sequence][length:]
        return self._mark(sequence, length)

    def _mark(self, sequence: int, kept: int) -> Taken:
        self._uses += 1
        self._used[sequence] = self._uses
        return Taken(sequence, kept)

    def extend(self, sequence: int, tokens: Sequence[int]) -> None:
        """These were computed behind what the sequence had."""
        self._tokens[sequence].extend(tokens)

    def settle(self, sequence: int, length: int) -> None:
        """After a stop: the sequence remembers no more than `length` tokens."""
        del self._tokens[sequence][length:]

    def length(self, sequence: int) -> int:
        """Tokens that the sequence is known to have."""
        return len(self._tokens[sequence])


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two texts begin with alike."""
    shorter = min(len(first), len(second))
    if not shorter:
        return 0
    differ = np.asarray(first[:shorter]) != np.asarray(second[:shorter])
    return int(differ.argmax()) if differ.any() else shorter
