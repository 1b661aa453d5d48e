"""Items and responses of a conversation, in the shapes of the Realtime protocol.

Wire shapes and core state are the same frozen structs where they can be, so that what a
client is told is what the core believes. Field names are the protocol's own.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeGuard

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, structs

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "cancelled", "incomplete", "failed"]
Modality = Literal["audio", "text"]
CancelReason = Literal["turn_detected", "client_cancelled"]
"""Clients reject a response that was cancelled for anything else."""


class InputText(Struct, frozen=True, tag="input_text", forbid_unknown_fields=True):
    """What a person typed, or a system instruction."""

    text: str


class InputAudio(Struct, frozen=True, tag="input_audio", forbid_unknown_fields=True):
    """What a person said. `transcript` is null until it is known, and never left out:
    agents-realtime dies of an uncaught error where the key is missing. `audio` is in what clients
    send and retrieve, and nowhere else."""

    transcript: str | None = None
    audio: bytes | UnsetType = UNSET


class OutputText(Struct, frozen=True, tag="output_text", forbid_unknown_fields=True):
    """What the assistant wrote."""

    text: str


class OutputAudio(Struct, frozen=True, tag="output_audio", forbid_unknown_fields=True):
    """What the assistant said; after a truncation it has no transcript any more. `audio` is in what
    clients retrieve, and nowhere else."""

    transcript: str | UnsetType = UNSET
    audio: bytes | UnsetType = UNSET


Part = InputText | InputAudio | OutputText | OutputAudio


class Message(Struct, frozen=True, tag="message", kw_only=True):
    """A message item as it stands on the wire."""

    id: str
    role: Literal["user", "assistant", "system"]
    status: ItemStatus
    content: tuple[Part, ...] = ()


class FunctionCall(Struct, frozen=True, tag="function_call", kw_only=True):
    """The assistant asks the client to run one of its functions; `arguments` is JSON text."""

    id: str
    status: ItemStatus
    name: str
    call_id: str
    arguments: str


class FunctionCallOutput(Struct, frozen=True, tag="function_call_output", kw_only=True):
    """What a function call came to, in whatever text the client has for it."""

    id: str
    status: ItemStatus
    call_id: str
    output: str


Item = Message | FunctionCall | FunctionCallOutput
"""Any item of a conversation. Keys that a kind of item has not are left out, never null."""


def is_call(item: Item, call_id: str) -> TypeGuard[FunctionCall]:
    """Whether that is the function call of that id, made to its end."""
    return (
        isinstance(item, FunctionCall) and item.call_id == call_id and item.status != "in_progress"
    )


def with_transcript(entry: Entry, text: str | None) -> Entry:
    """A spoken entry whose words are known now, or known not to come."""
    item = entry.item
    if isinstance(item, Message) and text is not None:
        content = tuple(
            structs.replace(part, transcript=text)
            if isinstance(part, InputAudio) and part.transcript is None
            else part
            for part in item.content
        )
        item = structs.replace(item, content=content)
    return structs.replace(entry, item=item, transcribing=False)


class Span(Struct, frozen=True):
    """One clause of a spoken reply, how much of its audio was sent, and how long it is as far
    as that is known."""

    text: str
    sent_ms: float = 0.0
    whole_ms: float = 0.0


class Entry(Struct, frozen=True, kw_only=True):
    """An item in the conversation, with what the core knows beyond the wire.

    `spans` and `heard_ms` serve invariant 10: the model's context holds what was heard.
    `heard_ms` is None until a client truncates; `transcribing` is true while the text of a
    spoken item is still to come; `silent` is a turn in which nobody spoke. `answers` is the call
    that an output is of. `own` is what the daemon's own tools were asked in the response that
    made a call, and what they answered: in OpenAI's chat shape, unseen by the client, known to
    the model.
    """

    item: Item
    spans: tuple[Span, ...] = ()
    heard_ms: float | None = None
    transcribing: bool = False
    silent: bool = False
    answers: FunctionCall | None = None
    own: tuple[dict[str, Any], ...] = ()

    @property
    def role(self) -> str | None:
        """Whose message it is; None for an item that is no message."""
        return self.item.role if isinstance(self.item, Message) else None

    @property
    def content(self) -> tuple[Part, ...]:
        """The content parts of a message; none for other items."""
        return self.item.content if isinstance(self.item, Message) else ()

    @property
    def sent_ms(self) -> float:
        """Milliseconds of audio sent for this item."""
        return sum(span.sent_ms for span in self.spans)


class PcmFormat(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="audio/pcm"):
    """Signed 16-bit little-endian mono at the protocol's one rate for PCM."""

    rate: Annotated[int, Meta(ge=24_000, le=24_000)] = 24_000


class PcmuFormat(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="audio/pcmu"
):
    """G.711 µ-law: one byte a sample, 8 kHz."""


class PcmaFormat(
    Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="audio/pcma"
):
    """G.711 A-law: one byte a sample, 8 kHz."""


AudioFormat = PcmFormat | PcmuFormat | PcmaFormat


class ResponseAudioOutput(Struct, frozen=True):
    """Format and voice of a response's audio."""

    format: AudioFormat
    voice: str


class ResponseAudio(Struct, frozen=True):
    """The `audio` object of a response."""

    output: ResponseAudioOutput


class TokenDetails(Struct, frozen=True):
    """How a token count divides. Local engines do not count audio in tokens."""

    text_tokens: int = 0
    audio_tokens: int = 0


class InputTokenDetails(Struct, frozen=True):
    """How the input count divides, with what a prompt cache saved."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens of one response, as the engine counted them."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokenDetails
    output_token_details: TokenDetails

    @classmethod
    def of(cls, input_tokens: int, output_tokens: int, *, cached: int = 0) -> Usage:
        """A usage object from counts of text tokens."""
        return cls(
            total_tokens=input_tokens + output_tokens,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            input_token_details=InputTokenDetails(
                text_tokens=input_tokens, cached_tokens=min(cached, input_tokens)
            ),
            output_token_details=TokenDetails(text_tokens=output_tokens),
        )


class FailureDetail(Struct, frozen=True):
    """The public reason of a failed response."""

    type: str
    code: str
    message: str


class StatusDetails(Struct, frozen=True, omit_defaults=True):
    """Why a response ended other than completed."""

    type: Literal["cancelled", "incomplete", "failed"]
    reason: CancelReason | Literal["max_output_tokens"] | None = None
    error: FailureDetail | None = None


class ResponseResource(Struct, frozen=True, kw_only=True):
    """A response as it stands on the wire. `voiced` is our own extra field: `timing_ms` of the
    stages, and `missing`, the engines it was made without, each with the code of why."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    conversation_id: str | None
    output_modalities: tuple[Modality, ...]
    max_output_tokens: int | Literal["inf"]
    audio: ResponseAudio
    usage: Usage | None = None
    metadata: dict[str, str] | None = None
    voiced: dict[str, Any] | UnsetType = msgspec.UNSET
