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
    """The first event: the session as it begins."""

    session: dict[str, Any]


class SessionUpdated(ServerEvent, tag="session.updated", frozen=True, kw_only=True):
    """The whole session after an update."""

    session: dict[str, Any]


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The `error` object; `event_id` names the client event that caused it."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class ErrorEvent(ServerEvent, tag="error", frozen=True, kw_only=True):
    """A client event was not carried out, or something failed; the session goes on."""

    error: ErrorBody


class ItemAdded(ServerEvent, tag="conversation.item.added", frozen=True, kw_only=True):
    """An item is in the conversation, behind `previous_item_id` (null: it is the first)."""

    previous_item_id: str | None
    item: Item


class ItemDone(ServerEvent, tag="conversation.item.done", frozen=True, kw_only=True):
    """An item is complete. The transcript of what was said may still be to come."""

    previous_item_id: str | None
    item: Item


class ItemRetrieved(ServerEvent, tag="conversation.item.retrieved", frozen=True, kw_only=True):
    """The item that was asked for."""

    item: Item


class ItemDeleted(ServerEvent, tag="conversation.item.deleted", frozen=True, kw_only=True):
    """An item is no longer in the conversation."""

    item_id: str


class ItemTruncated(ServerEvent, tag="conversation.item.truncated", frozen=True, kw_only=True):
    """An assistant's audio counts as heard up to there."""

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
    """What the user said, in words; empty where there were none."""

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
    """What the user said could not be written down."""

    item_id: str
    content_index: int = 0
    error: TranscriptionError


class SpeechStartedEvent(
    ServerEvent, tag="input_audio_buffer.speech_started", frozen=True, kw_only=True
):
    """The user began to speak; `item_id` is that of the item to come."""

    audio_start_ms: int
    item_id: str


class SpeechStoppedEvent(
    ServerEvent, tag="input_audio_buffer.speech_stopped", frozen=True, kw_only=True
):
    """The user's turn is over, by the session's turn detection."""

    audio_end_ms: int
    item_id: str


class TimeoutTriggered(
    ServerEvent, tag="input_audio_buffer.timeout_triggered", frozen=True, kw_only=True
):
    """Nobody has spoken for `idle_timeout_ms` after a response; a turn without words follows."""

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class BufferCommitted(ServerEvent, tag="input_audio_buffer.committed", frozen=True, kw_only=True):
    """The audio so far became an item."""

    previous_item_id: str | None
    item_id: str


class BufferCleared(ServerEvent, tag="input_audio_buffer.cleared", frozen=True, kw_only=True):
    """The audio that was not committed is forgotten."""


class ResponseCreated(ServerEvent, tag="response.created", frozen=True, kw_only=True):
    """A response begins."""

    response: ResponseResource


class ResponseDone(ServerEvent, tag="response.done", frozen=True, kw_only=True):
    """A response is over, however it ended; every one that began has this."""

    response: ResponseResource


class OutputItemAdded(ServerEvent, tag="response.output_item.added", frozen=True, kw_only=True):
    """A response begins an item."""

    response_id: str
    output_index: int = 0
    item: Item


class OutputItemDone(ServerEvent, tag="response.output_item.done", frozen=True, kw_only=True):
    """An item of a response is complete, or was cut short."""

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

    type: Literal["text", "audio"]
    text: str | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class InPart(ServerEvent, frozen=True, kw_only=True):
    """The ids that every event inside a content part carries."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class ContentPartAdded(InPart, tag="response.content_part.added", frozen=True, kw_only=True):
    """A message begins its content."""

    part: WirePart


class ContentPartDone(InPart, tag="response.content_part.done", frozen=True, kw_only=True):
    """The content of a message is complete, or was cut short."""

    part: WirePart


class OutputTextDelta(InPart, tag="response.output_text.delta", frozen=True, kw_only=True):
    """More of a written answer."""

    delta: str


class OutputTextDone(InPart, tag="response.output_text.done", frozen=True, kw_only=True):
    """The whole of a written answer."""

    text: str


class AudioTranscriptDelta(
    InPart, tag="response.output_audio_transcript.delta", frozen=True, kw_only=True
):
    """More of the words that are spoken."""

    delta: str


class AudioTranscriptDone(
    InPart, tag="response.output_audio_transcript.done", frozen=True, kw_only=True
):
    """All words that were spoken."""

    transcript: str


class OutputAudioDelta(InPart, tag="response.output_audio.delta", frozen=True, kw_only=True):
    """More of the spoken answer, in the response's output format."""

    delta: bytes


class OutputAudioDone(InPart, tag="response.output_audio.done", frozen=True, kw_only=True):
    """The spoken answer is sent."""
