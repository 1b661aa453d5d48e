"""Chat completions as they stand on the wire.

Fields of a request that are not here are ignored, as the API has dozens that only some models
know. What would change the shape of the answer is here and refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
StopSequence = Annotated[str, Meta(max_length=256)]


class TextPart(Struct, frozen=True):
    """Text; the only kind of content that is understood here."""

    type: Literal["text"]
    text: str


Content = str | tuple[TextPart, ...]


class CalledFunction(Struct, frozen=True):
    """Which function the model called, with its arguments as JSON text."""

    name: str
    arguments: str


class AskedCall(Struct, frozen=True, kw_only=True):
    """A call that the model asked for."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class SystemMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="system"):
    """Instructions."""

    content: Content


class DeveloperMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="developer"):
    """Instructions, by the newer name of the role."""

    content: Content


class UserMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    """What a person said."""

    content: Content


class AssistantMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    """What the model answered before: text, calls, or both."""

    content: Content | None = None
    tool_calls: tuple[AskedCall, ...] | None = None


class ToolMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="tool"):
    """What a call came to."""

    content: Content
    tool_call_id: str


Message = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage


class FunctionDefinition(Struct, frozen=True, kw_only=True):
    """A function that the client offers; `parameters` is the JSON schema of an object."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolDefinition(Struct, frozen=True, kw_only=True):
    """A tool that the client offers."""

    type: Literal["function"]
    function: FunctionDefinition


class NamedFunction(Struct, frozen=True):
    """A function by its name."""

    name: Name


class NamedTool(Struct, frozen=True, kw_only=True):
    """The tool that the model must call."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(Struct, frozen=True):
    """How to stream."""

    include_usage: bool | None = None


class ResponseFormat(Struct, frozen=True):
    """The form of the answer, which is plain text here."""

    type: Literal["text"]


class ChatRequest(Struct, frozen=True, kw_only=True):
    """A conversation that the model is to continue.

    The daemon's own tools run inside the answer, unless one of the client's has the same name or
    `tool_choice` says otherwise.
    """

    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]
    model: Annotated[str, Meta(description="Any name: the engine that is loaded answers.")]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: tuple[ToolDefinition, ...] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: StopSequence | Annotated[tuple[StopSequence, ...], Meta(max_length=4)] | None = None
    n: Annotated[int, Meta(ge=1, le=1)] | None = None
    response_format: ResponseFormat | None = None
    modalities: tuple[Literal["text"], ...] | None = None


FinishReason = Literal["stop", "length", "tool_calls"]


class PromptDetails(Struct, frozen=True, kw_only=True):
    """Of the prompt, what the engine still knew."""

    cached_tokens: int


class TokenUsage(Struct, frozen=True, kw_only=True):
    """Tokens as the engine counts them: words, where it has no tokenizer."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | UnsetType = UNSET


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """What the model answered."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: tuple[AskedCall, ...] | UnsetType = UNSET


class Choice(Struct, frozen=True, kw_only=True):
    """The one answer."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class ChatCompletion(Struct, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: TokenUsage


class CallDelta(Struct, frozen=True, kw_only=True):
    """A call of the answer, whole."""

    index: int
    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class Delta(Struct, frozen=True, kw_only=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: str | UnsetType | None = UNSET
    tool_calls: tuple[CallDelta, ...] | UnsetType = UNSET


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """The one answer, as far as this chunk goes."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: FinishReason | None = None


class ChatChunk(Struct, frozen=True, kw_only=True):
    """A part of a streamed answer; the last one may have `usage` and no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: tuple[ChunkChoice, ...] = ()
    usage: TokenUsage | UnsetType | None = UNSET
