"""Several engines of one kind in order: the first one that can, does.

Another one is tried only before the first word (or sound) of an answer. What broke off after that
fails plainly: nobody wants half of one answer and half of another.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import structlog
from msgspec import structs

from voiced.engines.ports import PREFILL, Priority, Reader, promote
from voiced.engines.spec import LABELS
from voiced.engines.tts.voices import Voices
from voiced.errors import (
    ContextExceeded,
    EngineError,
    EngineUnavailable,
    NotUnderstood,
    ToolChoiceError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from voiced.engines.ports import (
        EngineInfo,
        Kind,
        Llm,
        PcmChunk,
        ReplyPart,
        ToolChoice,
        Tts,
    )
    from voiced.settings import Tts as TtsSettings

log = structlog.get_logger(__name__)

_PartT = TypeVar("_PartT")


class _Engine(Protocol):
    @property
    def info(self) -> EngineInfo: ...


_EngineT_co = TypeVar("_EngineT_co", bound=_Engine, covariant=True)


class Member(Generic[_EngineT_co]):
    """One engine of several. `stands_in`: it answers for the others only now and then, and does
    not speak for all of them."""

    def __init__(
        self,
        name: str,
        engine: _EngineT_co,
        is_usable: Callable[[], bool],
        *,
        stands_in: bool = False,
    ) -> None:
        self.name = name
        self.engine = engine
        self.stands_in = stands_in
        self._is_usable = is_usable

    @property
    def usable(self) -> bool:
        """Whether it works, as far as is known."""
        return self._is_usable()


class Order(Generic[_EngineT_co]):
    """The members of one kind, in the order in which they are tried; at least one."""

    def __init__(self, kind: Kind, members: Sequence[Member[_EngineT_co]]) -> None:
        self.kind = kind
        self._members = tuple(members)

    def now(self) -> list[Member[_EngineT_co]]:
        """The order in which they are tried now: those that work, then the rest, of which one may
        be about to come back."""
        return sorted(self._members, key=lambda member: not member.usable)

    @property
    def info(self) -> EngineInfo:
        """What the one declares that would be asked now."""
        main = [member for member in self.now() if not member.stands_in]
        return main[0].engine.info

    def pass_on(self, member: Member[_EngineT_co], error: EngineError) -> None:
        """Log why another one is asked."""
        if not isinstance(error, NotUnderstood | EngineUnavailable):
            log.warning(
                "engine passed over",
                engine=f"{self.kind}.{member.name}",
                code=error.code,
                reason=str(error),
            )

    def exhausted(self, errors: Sequence[tuple[str, EngineError]]) -> EngineError:
        """What is raised when nobody is left. One engine alone speaks for itself, and so does one
        for which there was too much to read."""
        if len(self._members) == 1 and errors:
            return errors[0][1]
        too_long = (error for _, error in errors if isinstance(error, ContextExceeded))
        if (error := next(too_long, None)) is not None:
            return error  # what was asked is at fault, and can be made shorter
        label = LABELS[self.kind]
        tried = "; ".join(dict.fromkeys(f"{name}: {error}" for name, error in errors))
        return EngineUnavailable(
            f"{label} is not to be had: {tried}", public=f"{label} cannot be reached at the moment"
        )


class FailoverLlm:
    """`Llm` over several."""

    def __init__(self, order: Order[Llm]) -> None:
        self._order = order

    @property
    def info(self) -> EngineInfo:
        """That of the engine that would be asked now."""
        return self._order.info

    @asynccontextmanager
    async def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: ToolChoice = "auto",
        max_output_tokens: int | None = None,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[ReplyPart]]:
        """See `Llm.reply`."""

        def ask(llm: Llm) -> AbstractAsyncContextManager[AsyncIterator[ReplyPart]]:
            return llm.reply(
                messages,
                tools=tools,
                tool_choice=tool_choice,
                max_output_tokens=max_output_tokens,
                priority=priority,
            )

        async with AsyncExitStack() as stack:
            yield FirstOf(self._order, ask, stack)

    async def prefill(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        priority: Priority = Priority.SPECULATION,
    ) -> int:
        """See `Reader.prefill`: the engine reads ahead that would be asked now; 0 if it cannot."""
        for member in self._order.now():
            if member.stands_in:
                continue
            llm = member.engine
            if isinstance(llm, Reader) and PREFILL in llm.info.capabilities:
                return await llm.prefill(messages, tools=tools, priority=priority)
            break
        return 0


class FirstOf(Generic[_EngineT_co, _PartT]):
    """The parts of the first engine that gives one.

    The engine is asked when the first part is wanted, and let go with `stack`.
    """

    def __init__(
        self,
        order: Order[_EngineT_co],
        ask: Callable[[_EngineT_co], AbstractAsyncContextManager[AsyncIterator[_PartT]]],
        stack: AsyncExitStack,
    ) -> None:
        self._order = order
        self._ask = ask
        self._stack = stack
        self._parts: AsyncIterator[_PartT] | None = None
        self._trying: AsyncIterator[_PartT] | None = None
        self._priority: Priority | None = None

    def promote(self, priority: Priority) -> None:
        """See `Promotable`; also for those that are still to be asked."""
        self._priority = priority
        self._promote_trying()

    def _promote_trying(self) -> None:
        if self._priority is not None:
            promote(self._trying, self._priority)

    def __aiter__(self) -> FirstOf[_EngineT_co, _PartT]:
        return self

    async def __anext__(self) -> _PartT:
        if self._parts is not None:
            return await anext(self._parts)
        errors: list[tuple[str, EngineError]] = []
        for member in self._order.now():
            attempt = AsyncExitStack()
            try:
                async with attempt:
                    parts = await attempt.enter_async_context(self._ask(member.engine))
                    self._trying = parts
                    self._promote_trying()
                    first = await anext(parts, None)
                    await self._stack.enter_async_context(attempt.pop_all())
            except ToolChoiceError:
                raise
            except EngineError as error:
                self._order.pass_on(member, error)
                errors.append((member.name, error))
                continue
            self._parts = parts
            if first is None:
                raise StopAsyncIteration
            return first
        raise self._order.exhausted(errors)


class FailoverTts:
    """`Tts` over several. It declares no voices, so that the name that a client asked for reaches
    each of them, and each makes of it what it can."""

    def __init__(self, order: Order[Tts]) -> None:
        self._order = order

    @property
    def info(self) -> EngineInfo:
        """That of the engine that would be asked now, without its voices."""
        return structs.replace(self._order.info, voices=(), variants=())

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        """See `Tts.speak`."""

        def ask(tts: Tts) -> AbstractAsyncContextManager[AsyncIterator[PcmChunk]]:
            return tts.speak(text, voice=voice, speed=speed, priority=priority)

        async with AsyncExitStack() as stack:
            yield FirstOf(self._order, ask, stack)


class OwnVoices:
    """`Tts` over an engine of our own that is given the names that clients use."""

    def __init__(self, tts: Tts, settings: TtsSettings) -> None:
        self._tts = tts
        self._voices = Voices(settings, tts)

    @property
    def info(self) -> EngineInfo:
        """The engine's."""
        return self._tts.info

    def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AbstractAsyncContextManager[AsyncIterator[PcmChunk]]:
        """See `Tts.speak`. Raises `EngineUnavailable` where the engine was never ready."""
        name = self._voices.resolve(voice)
        return self._tts.speak(text, voice=name, speed=speed, priority=priority)
