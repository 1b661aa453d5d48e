"""Several engines in order, where the order alone is in question. No process takes part."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from voiced.engines.failover import FailoverLlm, FirstOf, Member, Order
from voiced.engines.ports import EngineInfo, Llm, Priority, ReplyEnd, TextDelta
from voiced.errors import EngineError, EngineFailed, EngineUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from voiced.engines.ports import ReplyPart


class Parts:
    """What one engine says, once it is let go: these words, or that error."""

    def __init__(self, *parts: ReplyPart, error: EngineError | None = None) -> None:
        self.go = trio.Event()
        self.asked = trio.Event()
        self.priorities: list[Priority] = []
        self._parts = list(parts)
        self._error = error

    def promote(self, priority: Priority) -> None:
        self.priorities.append(priority)

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> ReplyPart:
        self.asked.set()
        await self.go.wait()
        if self._parts:
            return self._parts.pop(0)
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration


class Engine:
    """`Llm` that says `parts`; knows whether it was left."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.info = EngineInfo(kind="llm", name="fake", version="1")
        self.left = False

    @asynccontextmanager
    async def reply(self, *_: object, **__: object) -> AsyncIterator[AsyncIterator[ReplyPart]]:
        try:
            yield self.parts
        finally:
            self.left = True


def order(*engines: Llm) -> Order[Llm]:
    members = [Member(f"engine {n}", engine, lambda: True) for n, engine in enumerate(engines)]
    return Order("llm", members)


async def test_who_is_asked_later_is_asked_with_the_priority_that_it_has_by_then() -> None:
    """An answer begun in advance is wanted while the first engine is about to fail."""
    first = Engine(Parts(error=EngineFailed("it is broken")))
    second = Engine(Parts(TextDelta("noon")))
    async with AsyncExitStack() as stack:
        parts: FirstOf[Llm, ReplyPart] = FirstOf(
            order(first, second), lambda llm: llm.reply([]), stack
        )
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await anext(parts) == TextDelta("noon")

            nursery.start_soon(read)
            await first.parts.asked.wait()
            parts.promote(Priority.CONVERSATION)
            first.parts.go.set()
            await second.parts.asked.wait()
            assert second.parts.priorities == [Priority.CONVERSATION]
            second.parts.go.set()
        assert first.parts.priorities == [Priority.CONVERSATION]
        assert first.left
        assert not second.left
    assert second.left


async def test_what_breaks_off_after_its_first_word_is_not_begun_again() -> None:
    first = Engine(Parts(TextDelta("It is"), error=EngineFailed("it is broken")))
    second = Engine(Parts(TextDelta("noon"), ReplyEnd(finish="stop")))
    first.parts.go.set()
    second.parts.go.set()
    async with FailoverLlm(order(first, second)).reply([]) as parts:
        assert await anext(parts) == TextDelta("It is")
        with pytest.raises(EngineFailed, match="it is broken"):
            await anext(parts)
    assert not second.parts.asked.is_set()
    assert first.left


async def test_where_nobody_can_each_says_why() -> None:
    engines = [Engine(Parts(error=EngineFailed(f"fault {n}"))) for n in range(2)]
    for engine in engines:
        engine.parts.go.set()
    async with FailoverLlm(order(*engines)).reply([]) as parts:
        with pytest.raises(EngineUnavailable, match="engine 0: fault 0; engine 1: fault 1"):
            await anext(parts)
