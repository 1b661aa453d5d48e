"""Several recognisers in order: the first one listens, the others are there should it fail."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from voiced.audio.chunks import ChunkBuffer
from voiced.engines.ports import Priority
from voiced.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from voiced.engines.failover import Order
    from voiced.engines.ports import EngineInfo, Partial, Stt, Transcript, Utterance


class FailoverStt:
    """`Stt` over several. The first one listens; the others get the whole utterance if it fails."""

    def __init__(self, order: Order[Stt]) -> None:
        self._order = order

    @property
    def info(self) -> EngineInfo:
        """That of the engine that would be asked now."""
        return self._order.info

    @asynccontextmanager
    async def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AsyncIterator[Utterance]:
        """See `Stt.transcribe`."""

        def ask(stt: Stt) -> AbstractAsyncContextManager[Utterance]:
            return stt.transcribe(
                language=language, prompt=prompt, word_times=word_times, priority=priority
            )

        async with AsyncExitStack() as stack:
            utterance = _FailoverUtterance(self._order, ask, stack)
            await utterance.begin()
            yield utterance


class _FailoverUtterance:
    """One utterance: who listens, and its audio, in case that they fail."""

    def __init__(
        self,
        order: Order[Stt],
        ask: Callable[[Stt], AbstractAsyncContextManager[Utterance]],
        stack: AsyncExitStack,
    ) -> None:
        self._order = order
        self._ask = ask
        self._stack = stack
        self._audio = ChunkBuffer()
        self._first = order.now()[0]
        self._listener: Utterance | None = None
        self._error: EngineError | None = None

    async def begin(self) -> None:
        """Let the first one listen."""
        try:
            self._listener = await self._stack.enter_async_context(self._ask(self._first.engine))
        except EngineError as error:
            self._error = error

    @property
    def partial(self) -> Partial | None:
        """See `Utterance.partial`."""
        return None if self._listener is None else self._listener.partial

    def ask(self) -> bool:
        """See `Utterance.ask`."""
        return self._listener is not None and self._listener.ask()

    async def answer(self) -> Partial | None:
        """See `Utterance.answer`."""
        return None if self._listener is None else await self._listener.answer()

    async def feed(self, pcm: bytes) -> None:
        """See `Utterance.feed`."""
        self._audio.append(pcm)
        if self._listener is not None:
            await self._listener.feed(pcm)

    async def finish(self) -> Transcript:
        """See `Utterance.finish`. Raises `EngineUnavailable` where all of them fail."""
        errors: list[tuple[str, EngineError]] = []
        if self._listener is not None:
            try:
                return await self._listener.finish()
            except EngineError as error:
                self._error = error
                await self._stack.aclose()
        assert self._error is not None
        self._order.pass_on(self._first, self._error)
        errors.append((self._first.name, self._error))
        for member in self._order.now():
            if member is self._first:
                continue
            try:
                async with self._ask(member.engine) as utterance:
                    await utterance.feed(self._audio.join())
                    return await utterance.finish()
            except EngineError as error:
                self._order.pass_on(member, error)
                errors.append((member.name, error))
        raise self._order.exhausted(errors)
