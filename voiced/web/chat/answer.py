"""The answer to a chat completion request: whole, or in chunks."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

import trio
from msgspec import UNSET, Struct, UnsetType, structs

from voiced.tools.rounds import Answered, Question, converse
from voiced.tools.toolbox import ToolContext
from voiced.web.chat.stops import StopFilter
from voiced.web.chat.wire import (
    AnswerMessage,
    AskedCall,
    CallDelta,
    CalledFunction,
    ChatChunk,
    ChatCompletion,
    Choice,
    ChunkChoice,
    Delta,
    PromptDetails,
    TokenUsage,
)
from voiced.web.sse import DONE, encode_event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voiced.web.chat.wire import FinishReason
    from voiced.web.services import Services


class Asked(Struct, frozen=True, kw_only=True):
    """A request that can be answered."""

    question: Question
    stops: tuple[str, ...] = ()
    include_usage: bool = False


async def answer(
    asked: Asked, services: Services, sink: Callable[[str], Awaitable[None]]
) -> Answered:
    """Pass text to `sink` up to a stop sequence; there the engine is stopped, too.

    It has then not said what the answer cost, and words are counted. Raises `EngineError`.
    Cancelling stops the engine.
    """
    stops = StopFilter(asked.stops)
    said: list[str] = []
    answered: Answered | None = None

    async def pass_on(text: str) -> None:
        said.append(text)
        if ready := stops.feed(text):
            await sink(ready)
        if stops.stopped:
            scope.cancel(reason="a stop sequence was reached")
            await trio.lowlevel.checkpoint()

    with trio.CancelScope() as scope:
        answered = await converse(
            services.llm,
            services.toolbox,
            asked.question,
            ToolContext(language=services.settings.stt.language),
            pass_on,
        )
    if answered is None:
        read = sum(len((message["content"] or "").split()) for message in asked.question.messages)
        written = len("".join(said).split())
        return Answered(finish="stop", input_tokens=read, output_tokens=written)
    if rest := stops.flush():
        await sink(rest)
    return answered


async def complete(asked: Asked, services: Services) -> ChatCompletion:
    """The whole answer. Raises `EngineError`; cancelling stops the engine."""
    said: list[str] = []

    async def keep(text: str) -> None:
        said.append(text)

    answered = await answer(asked, services, keep)
    calls: tuple[AskedCall, ...] | UnsetType = UNSET
    if answered.calls:
        calls = tuple(
            AskedCall(id=call.call_id, function=CalledFunction(call.name, call.arguments))
            for call in answered.calls
        )
    text = "".join(said)
    message = AnswerMessage(content=text or (None if answered.calls else ""), tool_calls=calls)
    return ChatCompletion(
        id=new_id(),
        created=int(time.time()),
        model=model_of(services),
        choices=(Choice(message=message, finish_reason=answered.finish),),
        usage=usage_of(answered),
    )


async def stream(asked: Asked, services: Services, put: Callable[[bytes], Awaitable[None]]) -> None:
    """The answer as server-sent events, each given to `put`. Nothing is put before the engine
    has begun to answer. Raises `EngineError`; cancelling stops the engine."""
    chunks = Chunks(asked, services, put)
    answered = await answer(asked, services, chunks.text)
    await chunks.end(answered)


class Chunks:
    """Writes the chunks of one answer."""

    def __init__(
        self, asked: Asked, services: Services, put: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._put = put
        self._include_usage = asked.include_usage
        self._begun = False
        self._form = ChatChunk(
            id=new_id(),
            created=int(time.time()),
            model=model_of(services),
            usage=None if asked.include_usage else UNSET,
        )

    async def text(self, text: str) -> None:
        """More text."""
        await self._begin()
        await self._send(Delta(content=text))

    async def end(self, answered: Answered) -> None:
        """The calls, why the answer ended, what it cost where that is wanted, and the end."""
        await self._begin(None if answered.calls else "")
        for index, call in enumerate(answered.calls):
            function = CalledFunction(call.name, call.arguments)
            delta = CallDelta(index=index, id=call.call_id, function=function)
            await self._send(Delta(tool_calls=(delta,)))
        await self._send(Delta(), answered.finish)
        if self._include_usage:
            await self._put(encode_event(structs.replace(self._form, usage=usage_of(answered))))
        await self._put(DONE)

    async def _begin(self, content: str | None = "") -> None:
        if not self._begun:
            self._begun = True
            await self._send(Delta(role="assistant", content=content))

    async def _send(self, delta: Delta, finish: FinishReason | None = None) -> None:
        choice = ChunkChoice(delta=delta, finish_reason=finish)
        await self._put(encode_event(structs.replace(self._form, choices=(choice,))))


def usage_of(answered: Answered) -> TokenUsage:
    """The cost in the shape of chat completions."""
    cached = answered.cached_tokens
    return TokenUsage(
        prompt_tokens=answered.input_tokens,
        completion_tokens=answered.output_tokens,
        total_tokens=answered.input_tokens + answered.output_tokens,
        prompt_tokens_details=PromptDetails(cached_tokens=cached) if cached else UNSET,
    )


def model_of(services: Services) -> str:
    """Who really answers, whatever model was asked for."""
    return services.llm.info.name


def new_id() -> str:
    """The id of one answer."""
    return f"chatcmpl-{secrets.token_hex(12)}"
