"""The assistant beside a language model: it answers what it understands, and nothing else.

In front of a model it is the fast path: what its sentences say a tool is to do is done at once,
with no model asked. Behind a model that cannot be reached it is what is left.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from voiced.engines.ports import Priority, ReplyEnd, promote
from voiced.errors import NotUnderstood

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from voiced.engines.clients import EngineLlm
    from voiced.engines.ports import EngineInfo, ReplyPart, ToolChoice

ASSISTANT = "assistant"
"""The name of the engine that can do this."""


class UnderstandingLlm:
    """`Llm` over the assistant that raises `NotUnderstood` in place of saying so.

    `only` is what it may answer: "tools", sentences that a tool is to act on, and what came of
    that where it asked for it itself; "understood", whatever it understands.
    """

    def __init__(self, assistant: EngineLlm, only: Literal["tools", "understood"]) -> None:
        self._assistant = assistant
        self._only = only

    @property
    def info(self) -> EngineInfo:
        """The assistant's."""
        return self._assistant.info

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
        """See `Llm.reply`; the first part may raise `NotUnderstood`."""
        async with self._assistant.reply(
            messages,
            tools=tools,
            tool_choice=tool_choice,
            max_output_tokens=max_output_tokens,
            priority=priority,
            only=self._only,
        ) as parts:
            yield _Understood(parts)


class _Understood:
    def __init__(self, parts: AsyncIterator[ReplyPart]) -> None:
        self._parts = parts

    def promote(self, priority: Priority) -> None:
        """See `Promotable`."""
        promote(self._parts, priority)

    def __aiter__(self) -> _Understood:
        return self

    async def __anext__(self) -> ReplyPart:
        part = await anext(self._parts)
        if isinstance(part, ReplyEnd) and part.declined:
            raise NotUnderstood("the assistant does not understand this")
        return part
