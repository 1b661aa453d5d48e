"""`Llm` over `/chat/completions`: llama-server, Ollama, Groq, OpenAI, another voiced."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from voiced.engines.http.peer import ANY_MODEL
from voiced.engines.http.sse import SseReader
from voiced.engines.llm.thoughts import ThoughtFilter
from voiced.engines.ports import EngineInfo, Priority, ReplyEnd, TextDelta, ToolCall
from voiced.errors import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from voiced.engines.http.peer import Body
    from voiced.engines.http.provider import Attempt, Provider
    from voiced.engines.ports import ReplyPart, ToolChoice
    from voiced.settings import ChatProvider

MOST_BYTES = 8 << 20
"""Of one streamed answer; each token comes in some 200 bytes of JSON."""

STILL_THINKING = "it was still thinking when its answer was due (first_s)"

MOST_CALLS = 32
MOST_ARGUMENT_CHARACTERS = 65_536


# -- the wire, as far as it is read ---------------------------------------------------------


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _ContentPart(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Delta(msgspec.Struct):
    content: str | list[_ContentPart] | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[_CallDelta] | None = None

    @property
    def text(self) -> str:
        """What is for the user, thoughts between marks included."""
        if isinstance(self.content, list):
            parts = (part.text for part in self.content if part.type == "text")
            return "".join(text for text in parts if text)
        return self.content or ""

    @property
    def thinks(self) -> bool:
        """Whether it holds thoughts in a place of their own. Servers differ in which."""
        apart = self.reasoning_content or self.reasoning
        return bool(apart) or (isinstance(self.content, list) and bool(self.content))


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


class ChatStream:
    """Puts together what the events of one streamed answer say. Sans-I/O.

    Text is passed on as it comes, without thoughts; calls when they are whole, at the end.
    """

    def __init__(self) -> None:
        self.text_seen = False
        self.thought = False
        """Whether there has been anything of a thought."""
        self._thoughts = ThoughtFilter()
        self._calls: list[_Called] = []
        self._finish = ""
        self._done = False
        self._usage: _Usage | None = None
        self._words = 0

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self._done

    @property
    def begun(self) -> bool:
        """Whether there has been anything of an answer."""
        return self.text_seen or bool(self._calls) or bool(self._finish)

    def take(self, data: bytes) -> str:
        """The data of one event; returns the text in it. Raises `ProviderFailed`."""
        if data.strip() == b"[DONE]":
            self._done = True
            return ""
        try:
            chunk = _decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProviderFailed("what it sent is no chunk of a chat completion") from error
        if chunk.error is not None:
            raise ProviderFailed("it reported an error in the middle of its answer")
        self._usage = chunk.usage or self._usage
        text = ""
        for choice in chunk.choices or ():
            if choice.delta is not None:
                text += choice.delta.text
                self.thought = self.thought or choice.delta.thinks
                for call in choice.delta.tool_calls or ():
                    self._add_call(call)
            self._finish = choice.finish_reason or self._finish
        self._words += len(text.split())
        text = self._thoughts.feed(text)
        self.thought = self.thought or self._thoughts.thought
        self.text_seen = self.text_seen or bool(text)
        return text

    def end(self, words_read: int) -> list[ReplyPart]:
        """The last words, the calls and the end. Raises `ProviderFailed` where the answer broke
        off.

        Tokens of a server that does not count them are words.
        """
        if not self._finish:
            raise ProviderFailed("it broke off its answer")
        rest = self._thoughts.finish()
        words: list[ReplyPart] = [TextDelta(rest)] if rest else []
        calls: list[ReplyPart] = []
        for call in self._calls:
            if not call.name:
                raise ProviderFailed("it asked for a tool without a name")
            calls.append(
                ToolCall(call_id=call.id, name=call.name, arguments=call.arguments.strip() or "{}")
            )
        usage = self._usage or _Usage()
        read, written = usage.prompt_tokens, usage.completion_tokens
        end = ReplyEnd(
            finish="length" if self._finish == "length" else "tool_calls" if calls else "stop",
            input_tokens=words_read if read is None else max(0, read),
            output_tokens=self._words if written is None else max(0, written),
        )
        # Of a call that was cut by the limit there is nothing to run.
        return [*words, end] if end.finish == "length" else [*words, *calls, end]

    def _add_call(self, delta: _CallDelta) -> None:
        called = self._called(delta)
        if delta.function is not None:
            called.name += delta.function.name or ""
            called.arguments += delta.function.arguments or ""
        if len(called.arguments) > MOST_ARGUMENT_CHARACTERS or len(called.name) > 256:
            raise ProviderFailed("it asked for a tool with more arguments than can be meant")

    def _called(self, delta: _CallDelta) -> _Called:
        """The call that `delta` belongs to. Some servers number all of theirs 0, and tell them
        apart by their ids."""
        for called in reversed(self._calls):
            same_place = delta.index is None or called.index == delta.index
            if same_place and (not delta.id or called.id == delta.id):
                return called
        if len(self._calls) >= MOST_CALLS:
            raise ProviderFailed("it asked for more tools than can be meant")
        called = _Called(index=delta.index, id=delta.id or f"call_{uuid4().hex[:16]}")
        self._calls.append(called)
        return called


class _Called(msgspec.Struct):
    index: int | None
    id: str
    name: str = ""
    arguments: str = ""


# -- the port -------------------------------------------------------------------------------


class HttpLlm:
    """`Llm` over one server."""

    def __init__(self, provider: Provider, settings: ChatProvider) -> None:
        self._provider = provider
        self._settings = settings
        self.info = EngineInfo(
            kind="llm",
            name=provider.name,
            version="",
            model=settings.model,
            capabilities=("tools",),
        )

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
        """See `Llm.reply`. Raises `ProviderFailed` as soon as anything is amiss."""
        provider = self._provider
        content = request_body(self._settings, messages, tools, tool_choice, max_output_tokens)
        with provider.attempt(priority) as attempt:
            async with provider.peer.post(
                "chat/completions", attempt.deadlines, most_bytes=MOST_BYTES, content=content
            ) as body:
                if body.content_type != "text/event-stream":
                    raise ProviderFailed("its answer is no stream of events")
                yield _Answer(body, attempt, words_read=count_words(messages))


class _Answer:
    """The parts of one answer, as they come."""

    def __init__(self, body: Body, attempt: Attempt, *, words_read: int) -> None:
        self._body = body
        self._attempt = attempt
        self._words_read = words_read
        self._reader = SseReader()
        self._stream = ChatStream()
        self._ready: list[ReplyPart] = []
        self._ended = False

    def __aiter__(self) -> _Answer:
        return self

    async def __anext__(self) -> ReplyPart:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._ready.pop(0)

    async def _read(self) -> None:
        portion = await self._body.receive(self._attempt.deadlines)
        text = ""
        for data in self._reader.feed(portion):
            if not self._stream.over:
                text += self._stream.take(data)
        if self._stream.begun:
            self._attempt.begun()
        elif self._stream.thought:
            self._attempt.deadlines.late = STILL_THINKING
        if text:
            self._ready.append(TextDelta(text))
        if self._stream.over or not portion:
            self._ready += self._stream.end(self._words_read)
            self._ended = True
            self._attempt.succeeded()
            await self._body.drain()


def request_body(
    settings: ChatProvider,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    tool_choice: ToolChoice,
    max_output_tokens: int | None,
) -> bytes:
    """The request as JSON. Without a choice no tools are offered: not every server knows "none"."""
    body: dict[str, Any] = {
        "model": settings.model or ANY_MODEL,
        "messages": list(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if tools and tool_choice != "none":
        body["tools"] = [{"type": "function", "function": dict(tool)} for tool in tools]
        if isinstance(tool_choice, Mapping):
            body["tool_choice"] = {"type": "function", "function": {"name": tool_choice["name"]}}
        elif tool_choice != "auto":
            body["tool_choice"] = tool_choice
    if max_output_tokens is not None:
        body[settings.max_tokens_key] = max_output_tokens
    return msgspec.json.encode({**body, **settings.options})


def count_words(messages: Sequence[Mapping[str, Any]]) -> int:
    """The words of messages in OpenAI's chat shape."""
    return sum(len(str(message.get("content") or "").split()) for message in messages)
