"""What the sequences of a context remember, and computing what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.engines.llm.llama_library import Aborted
from voiced.engines.llm.prefix_cache import PrefixCache, Taken
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
            self._context.truncate(taken.sequence, 0)
            self._cache.settle(taken.sequence, 0)
            taken = Taken(taken.sequence, 0)
        new = tokens[taken.kept :]
        try:
            self._context.decode(taken.sequence, new, taken.kept, went_on=went_on)
        except Aborted:
            done = self._context.length(taken.sequence) - taken.kept
            self._cache.extend(taken.sequence, new[: max(0, done)])
            raise
        except EngineFailed:
            self._context.truncate(taken.sequence, 0)
            self._cache.settle(taken.sequence, 0)
            raise
        self._cache.extend(taken.sequence, new)
        return taken.sequence, len(new)

    def append(self, sequence: int, token: int) -> None:
        """Compute one token of the answer."""
        position = self._cache.length(sequence)
        self._context.decode(sequence, [token], position)
        self._cache.extend(sequence, [token])
