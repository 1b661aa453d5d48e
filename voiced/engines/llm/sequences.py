"""What the sequences of a context remember, and computing what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.engines.llm.llama_library import Aborted
from voiced.engines.llm.prefix_cache import PrefixCache, Taken
from voiced.engines.ports import WorkCancelled
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.llm.llama_library import LlamaContext


class Sequences:
    """The sequences of `context`, and the tokens that each of them has."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._cache = PrefixCache(context, context.shape.sequences)

    def compute(self, tokens: list[int], went_on: Callable[[], None]) -> tuple[int, int]:
        """Compute a prompt; the sequence that has it, and how many tokens that took. `went_on` is
        called now and then meanwhile."""
        if not tokens:
            return 0, 0
        taken = self._cache.take(tokens)
        if self._context.length(taken.sequence) != taken.kept:  # a fault has left it in doubt
            self._forget(taken.sequence)
            taken = Taken(taken.sequence, 0)
        new = tokens[taken.kept :]
        try:
            self._context.decode(taken.sequence, new, taken.kept, went_on=went_on)
        except Aborted:
            if self._context.copies:
                self._keep(taken, new)
            else:  # llama.cpp takes back what it had begun, but cannot where there is a state
                self._forget(taken.sequence)
            raise
        except WorkCancelled:  # between two batches
            self._keep(taken, new)
            raise
        except EngineFailed:
            self._forget(taken.sequence)
            raise
        self._cache.extend(taken.sequence, new)
        return taken.sequence, len(new)

    def _keep(self, taken: Taken, new: list[int]) -> None:
        """What is whole of a prompt that was broken off."""
        done = self._context.length(taken.sequence) - taken.kept
        self._cache.extend(taken.sequence, new[: max(0, done)])

    def _forget(self, sequence: int) -> None:
        self._context.truncate(sequence, 0)
        self._cache.settle(sequence, 0)

    def append(self, sequence: int, token: int) -> None:
        """Compute one token of the answer."""
        position = self._cache.length(sequence)
        self._context.decode(sequence, [token], position)
        self._cache.extend(sequence, [token])
