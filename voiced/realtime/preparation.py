"""A reply of the model that was begun before anybody asked for it, and perhaps is asked for.

Only the model is asked. What it says is kept here, and a tool that it calls for is not run before
the reply is really wanted: so nothing has happened if it never is.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog
import trio

from voiced.engines.ports import Priority, ReplyEnd, TextDelta, promote
from voiced.errors import EngineError, EnginePreempted, TooHot
from voiced.tools.rounds import offered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from voiced.engines.ports import EngineInfo, Llm, ReplyPart, ToolChoice
    from voiced.tools.rounds import Question
    from voiced.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)

MOST_CHARACTERS = 16_384
"""Kept in advance; the model waits beyond that. A spoken reply is a tenth of it."""


class Preparation:
    """Asks the model in `run`, at the priority of speculation, and keeps what it says.

    Whoever takes it iterates `parts`, in another task; `drop` ends it, however far it is.
    """

    def __init__(self, question: Question, llm: Llm, toolbox: Toolbox) -> None:
        self._question = question
        self._llm = llm
        self._toolbox = toolbox
        self._scope = trio.CancelScope()
        self._parts: list[ReplyPart] = []
        self._characters = 0
        self._changed = trio.Event()
        self._taken = trio.Event()
        self._running: AsyncIterator[ReplyPart] | None = None
        self._over = False
        self.error: Exception | None = None

    async def run(self) -> None:
        """Ask, until it is all said or dropped. Raises nothing: see `error`."""
        question = self._question
        try:
            with self._scope:
                async with self._llm.reply(
                    question.messages,
                    tools=offered(question, self._toolbox),
                    tool_choice=question.tool_choice,
                    max_output_tokens=question.max_output_tokens,
                    priority=Priority.SPECULATION,
                ) as parts:
                    self._running = parts
                    self._promote()
                    async for part in parts:
                        await self._keep(part)
        except EngineError as error:
            self.error = error
        except Exception as error:
            log.exception("an answer in advance failed by a fault of ours")
            self.error = error
        finally:
            self._over = True
            self._changed.set()

    def answers(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        tool_choice: ToolChoice,
        max_output_tokens: int | None,
    ) -> bool:
        """Whether that is what was asked here, and the answer is still to be had: not where it
        was broken off for others, or for the heat, before anybody wanted it."""
        question = self._question
        return (
            not isinstance(self.error, EnginePreempted | TooHot)
            and list(question.messages) == list(messages)
            and offered(question, self._toolbox) == list(tools)
            and question.tool_choice == tool_choice
            and question.max_output_tokens == max_output_tokens
        )

    def take(self) -> None:
        """It is wanted: from now on with the priority of a conversation."""
        self._taken.set()
        self._promote()

    def drop(self, reason: str) -> None:
        """It is not wanted, or no more. May be called twice."""
        self._scope.cancel(reason=reason)

    async def next(self) -> ReplyPart | None:
        """The next part; None at the end, or where it ended before it was whole: see `error`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._parts:
            if self._over:
                return None
            self._changed = trio.Event()
            await self._changed.wait()
        return self._parts.pop(0)

    async def _keep(self, part: ReplyPart) -> None:
        self._parts.append(part)
        self._changed.set()
        if isinstance(part, TextDelta):
            self._characters += len(part.text)
        if self._characters > MOST_CHARACTERS and not isinstance(part, ReplyEnd):
            await self._taken.wait()

    def _promote(self) -> None:
        if self._taken.is_set():
            promote(self._running, Priority.CONVERSATION)


class PreparedLlm:
    """`Llm` whose first answer was begun in advance, where the question is the same."""

    def __init__(self, llm: Llm, preparation: Preparation) -> None:
        self._llm = llm
        self._preparation: Preparation | None = preparation

    @property
    def info(self) -> EngineInfo:
        """The model's."""
        return self._llm.info

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
        """See `Llm.reply`. What was begun is dropped when this is left."""
        begun, self._preparation = self._preparation, None

        async def ask(stack: AsyncExitStack) -> AsyncIterator[ReplyPart]:
            return await stack.enter_async_context(
                self._llm.reply(
                    messages,
                    tools=tools,
                    tool_choice=tool_choice,
                    max_output_tokens=max_output_tokens,
                    priority=priority,
                )
            )

        async with AsyncExitStack() as stack:
            if begun is None:
                yield await ask(stack)
                return
            stack.callback(begun.drop, "the reply is over")
            if begun.answers(messages, tools, tool_choice, max_output_tokens):
                begun.take()
                yield _Continued(begun, lambda: ask(stack))
            else:
                begun.drop("it is another question")
                yield await ask(stack)


class _Continued:
    """What was said in advance and what follows it; or, where that came to nothing before its
    first word, the answer to the same question asked again."""

    def __init__(
        self, begun: Preparation, ask: Callable[[], Awaitable[AsyncIterator[ReplyPart]]]
    ) -> None:
        self._begun = begun
        self._ask = ask
        self._parts: AsyncIterator[ReplyPart] | None = None
        self._said = False

    def __aiter__(self) -> _Continued:
        return self

    async def __anext__(self) -> ReplyPart:
        if self._parts is not None:
            return await anext(self._parts)
        part = await self._begun.next()
        if part is not None:
            self._said = True
            return part
        if not self._said:
            self._parts = await self._ask()
            return await anext(self._parts)
        if self._begun.error is not None:
            raise self._begun.error
        raise StopAsyncIteration
