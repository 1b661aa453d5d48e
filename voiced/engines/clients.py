"""The ports `Tts` and `Llm` over an engine host; `Stt` is in `clients_stt`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog

from voiced.engines.ports import (
    EngineInfo,
    PcmChunk,
    Priority,
    ReplyEnd,
    ReplyPart,
    TextDelta,
    ToolCall,
)
from voiced.errors import (
    EngineFailed,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from voiced.engines.call import Call, Part
    from voiced.engines.host import EngineHost
    from voiced.engines.ports import ToolChoice

log = structlog.get_logger(__name__)

_StructT = TypeVar("_StructT")

SPEECH_PARTS = 4_096
"""Parts kept of speech not yet played: several minutes, since a clause is made many times
faster than it is heard, and the engine is not to wait for the ear."""

JOINED_CHARS = 4_096
"""Text of a reply is read as fast as it is spoken, and models write faster. Unread, it is joined
to pieces of this length; as many as a call keeps, they are two million characters."""


class EngineTts:
    """`Tts` over a host."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host

    @property
    def info(self) -> EngineInfo:
        """See `EngineHost.info`."""
        return self._host.info

    @asynccontextmanager
    async def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AsyncIterator[AsyncIterator[PcmChunk]]:
        """See `Tts.speak`. `voice` "" is the engine's default."""
        params = {"text": text, "voice": voice, "speed": speed}
        async with self._host.request(
            "speak", params, priority, requeue=True, max_parts=SPEECH_PARTS
        ) as call:
            yield _Speech(call)


class _Speech:
    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> AsyncIterator[PcmChunk]:
        return self

    async def __anext__(self) -> PcmChunk:
        return convert(await anext(self._call), PcmChunk)


class EngineLlm:
    """`Llm` over a host."""

    def __init__(self, host: EngineHost) -> None:
        self._host = host

    @property
    def info(self) -> EngineInfo:
        """See `EngineHost.info`."""
        return self._host.info

    @asynccontextmanager
    async def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: ToolChoice = "auto",
        max_output_tokens: int | None = None,
        priority: Priority = Priority.CONVERSATION,
        only: str = "",
    ) -> AsyncIterator[AsyncIterator[ReplyPart]]:
        """See `Llm.reply`. Text that waits for its reader is joined: see `JOINED_CHARS`. `only` is
        for the assistant alone: see `UnderstandingLlm`."""
        params: dict[str, Any] = {
            "messages": list(messages),
            "tools": list(tools),
            "max_output_tokens": max_output_tokens,
        }
        if tool_choice != "auto":
            params["tool_choice"] = tool_choice
        if only:
            params["only"] = only
        async with self._host.request(
            "reply", params, priority, requeue=True, merge=join_text
        ) as call:
            yield _Reply(call)

    async def prefill(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        priority: Priority = Priority.SPECULATION,
    ) -> int:
        """See `Reader.prefill`."""
        params = {"messages": list(messages), "tools": list(tools)}
        async with self._host.request("prefill", params, priority, requeue=True) as call:
            return convert(await call.result(), _Read).whole_tokens


class _Read(msgspec.Struct):
    """What an engine tells of a conversation that it has read."""

    whole_tokens: int


def join_text(unread: Part, part: Part) -> Part | None:
    """A `Merge`: text that nobody has read yet is one piece, up to `JOINED_CHARS`."""
    if unread.keys() == part.keys() == {"text"}:
        before, after = unread["text"], part["text"]
        if isinstance(before, str) and isinstance(after, str):
            joined = before + after
            return {"text": joined} if len(joined) <= JOINED_CHARS else None
    return None


class _Reply:
    def __init__(self, call: Call) -> None:
        self._call = call
        self._ended = False

    def promote(self, priority: Priority) -> None:
        """See `Promotable`."""
        self._call.promote(priority)

    def __aiter__(self) -> AsyncIterator[ReplyPart]:
        return self

    async def __anext__(self) -> ReplyPart:
        if self._ended:
            raise StopAsyncIteration
        try:
            part = await anext(self._call)
        except StopAsyncIteration:
            self._ended = True
            end = convert(await self._call.result(), ReplyEnd)
            if end.intent is not None:
                log.info("took words to mean", intent=end.intent or "nothing known")
            return end
        if (tool_call := part.get("tool_call")) is not None:
            return convert(tool_call, ToolCall)
        return convert(part, TextDelta)


def convert(data: object, type_: type[_StructT]) -> _StructT:
    """An engine's map as the struct that the port promises; what is not in it is left out."""
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as exc:
        raise EngineFailed(
            f"an engine's answer is not a {type_.__name__}: {exc}",
            public="an engine gave an answer of the wrong shape",
        ) from exc
