"""Every server event that the conversation core can emit, one struct each.

`event_id` is not here: the outbox numbers events as it takes them (`realtime/outbox.py`).
Field order and spelling follow the GA protocol; `bytes` fields become base64 on the wire.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from voiced.conversation.items import Item, ResponseResource


class ServerEvent(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all: the tag becomes `type`."""


class SessionCreated(ServerEvent, tag="session.created", frozen=True, kw_only=True):
    session: dict[str, Any]


class SessionUpdated(ServerEvent, tag="session.updated", frozen=True, kw_only=True):
    session: dict[str, Any]


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The `error` object; `event_id` names the client event that caused it."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class ErrorEvent(ServerEvent, tag="error", frozen=True, kw_only=True):
    error: ErrorBody


class ItemAdded(ServerEvent, tag="conversation.item.added", frozen=True, kw_only=True):
    previous_item_id: str | None
    item: Item


class ItemDone(ServerEvent, tag="conversation.item.done", frozen=True, kw_only=True):
    previous_item_id: str | None
    item: Item


class ItemRetrieved(ServerEvent, tag="conversation.item.retrieved", frozen=True, kw_only=True):
    item: Item


class ItemDeleted(ServerEvent, tag="conversation.item.deleted", frozen=True, kw_only=True):
    item_id: str


class ItemTruncated(ServerEvent, tag="conversation.item.truncated", frozen=True, kw_only=True):
    item_id: str
    content_index: int
    audio_end_ms: int


class DurationUsage(Struct, frozen=True, tag_field="type", tag="duration"):
    """What a transcription cost: seconds of audio."""

    seconds: float


class TranscriptionDelta(
    ServerEvent,
    tag="conversation.item.input_audio_transcription.delta",
    frozen=True,
    kw_only=True,
):
    """More words of what the user said; together they are the transcript."""

    item_id: str
    content_index: int = 0
    delta: str


class TranscriptionCompleted(
    ServerEvent,
    tag="conversation.item.input_audio_transcription.completed",
    frozen=True,
    kw_only=True,
):
    item_id: str
    content_index: int = 0
    transcript: str
    usage: DurationUsage


class TranscriptionError(Struct, frozen=True, kw_only=True):
    """Why a transcription failed; keys that do not apply are left out, as clients want."""

    type: str
    code: str
    message: str


class TranscriptionFailed(
    ServerEvent, tag="conversation.item.input_audio_transcription.failed", frozen=True, kw_only=True
):
    item_id: str
    content_index: int = 0
    error: TranscriptionError


class SpeechStartedEvent(
    ServerEvent, tag="input_audio_buffer.speech_started", frozen=True, kw_only=True
):
    audio_start_ms: int
    item_id: str


class SpeechStoppedEvent(
    ServerEvent, tag="input_audio_buffer.speech_stopped", frozen=True, kw_only=True
):
    audio_end_ms: int
    item_id: str


class BufferCommitted(ServerEvent, tag="input_audio_buffer.committed", frozen=True, kw_only=True):
    previous_item_id: str | None
    item_id: str


class BufferCleared(ServerEvent, tag="input_audio_buffer.cleared", frozen=True, kw_only=True):
    pass


class ResponseCreated(ServerEvent, tag="response.created", frozen=True, kw_only=True):
    response: ResponseResource


class ResponseDone(ServerEvent, tag="response.done", frozen=True, kw_only=True):
    response: ResponseResource


class OutputItemAdded(ServerEvent, tag="response.output_item.added", frozen=True, kw_only=True):
    response_id: str
    output_index: int = 0
    item: Item


class OutputItemDone(ServerEvent, tag="response.output_item.done", frozen=True, kw_only=True):
    response_id: str
    output_index: int = 0
    item: Item


class RateLimit(Struct, frozen=True, kw_only=True):
    """How much of a limit is left, and when all of it will be there again."""

    name: Literal["requests", "tokens"]
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsUpdated(ServerEvent, tag="rate_limits.updated", frozen=True, kw_only=True):
    """The limit on a session's control events, told after each response that was not cancelled.
    Tokens have no limit here, so none is told."""

    rate_limits: tuple[RateLimit, ...]


class CallArgumentsDelta(
    ServerEvent, tag="response.function_call_arguments.delta", frozen=True, kw_only=True
):
    """More of a function call's arguments, as JSON text."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class CallArgumentsDone(
    ServerEvent, tag="response.function_call_arguments.done", frozen=True, kw_only=True
):
    """The arguments of a function call are whole, or the response was cut short."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


class WirePart(Struct, frozen=True, omit_defaults=True):
    """A part inside `response.content_part.*`, which spells its type `text` or `audio`."""

    type: str
    text: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class InPart(ServerEvent, frozen=True, kw_only=True):
    """The ids that every event inside a content part carries."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class ContentPartAdded(InPart, tag="response.content_part.added", frozen=True, kw_only=True):
    part: WirePart


class ContentPartDone(InPart, tag="response.content_part.done", frozen=True, kw_only=True):
    part: WirePart


class OutputTextDelta(InPart, tag="response.output_text.delta", frozen=True, kw_only=True):
    delta: str


class OutputTextDone(InPart, tag="response.output_text.done", frozen=True, kw_only=True):
    text: str


class AudioTranscriptDelta(
    InPart, tag="response.output_audio_transcript.delta", frozen=True, kw_only=True
):
    delta: str


class AudioTranscriptDone(
    InPart, tag="response.output_audio_transcript.done", frozen=True, kw_only=True
):
    transcript: str


class OutputAudioDelta(InPart, tag="response.output_audio.delta", frozen=True, kw_only=True):
    delta: bytes


class OutputAudioDone(InPart, tag="response.output_audio.done", frozen=True, kw_only=True):
    pass
