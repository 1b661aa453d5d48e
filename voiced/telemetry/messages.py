"""What observers of the daemon are told, as structs, and the one way from a struct to the wire.

Every message is `{type, payload, timestamp}`, the timestamp in UTC as RFC 3339 has it. Nothing is
sent that was not read back first: see `encode`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Callable

Word = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9_.]+$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Words = Annotated[str, Meta(min_length=1, max_length=2_000)]
Text = Annotated[str, Meta(max_length=20_000)]
Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0.0)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]

Type = Literal[
    "frame",
    "partial_result",
    "progress",
    "plugin_status",
    "warning",
    "error",
    "ping",
    "pong",
    "metadata",
]


class Payload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all payloads."""


class Mergeable(Payload, frozen=True, kw_only=True):
    """A payload that may stand for others that were not sent, since their observer read too
    slowly. `coalesced` says for how many: older ones about the same thing, or, of a warning or
    an error, the very same again."""

    coalesced: Count = 0


class Frame(Mergeable, frozen=True, kw_only=True):
    """A finished segment of a job, the newest one; `start_s` and `end_s` lie in its recording or
    its speech. Where `coalesced` is not 0, so many segments before it are to be had from
    `GET /v1/jobs/{job_id}` only."""

    job_id: Name
    index: Count
    start_s: Amount
    end_s: Amount
    text: Text


class PartialResult(Mergeable, frozen=True, kw_only=True):
    """What a session is at. `text` is what was understood or is said so far, where the setting
    `insights.transcripts` allows it; else null. `timings_ms` has the stages of a finished
    response."""

    session_id: Name
    state: Literal[
        "opened", "hearing", "transcribing", "answering", "speaking", "listening", "closed"
    ]
    item_id: Name | None = None
    text: Text | None = None
    timings_ms: dict[Word, Amount] = {}


class Progress(Mergeable, frozen=True, kw_only=True):
    """How far a job is; `kind` is its type, `reason` why it waits, failed or was cancelled."""

    job_id: Name
    kind: Word
    status: Literal["queued", "running", "parked", "completed", "failed", "cancelled"]
    percent: Percent
    reason: Words | None = None


class Timing(Struct, frozen=True, kw_only=True):
    """How long something takes, over the last times that it was done."""

    p50_ms: Amount
    p95_ms: Amount
    count: Count


class PluginStatus(Mergeable, frozen=True, kw_only=True):
    """How a part of the daemon does: an engine or a server that is used as one (`kind` stt, llm,
    tts, vad), the thermal supervision (`thermal`, its level is the `state`), a tool. `reason` says
    in words why it is not as it should be."""

    kind: Word
    name: Name
    state: Word
    reason: Words | None = None
    restarts: Count = 0
    queue: Count = 0
    running: Count = 0
    timings: dict[Word, Timing] = {}


class Told(Mergeable, frozen=True, kw_only=True):
    """Something for a person: a stable `code`, a sentence, and the id or the name of what it is
    about, where it is about one thing."""

    code: Word
    message: Words
    subject: Name | None = None


class Warning_(Told, frozen=True, kw_only=True):
    """Something is not as it should be, and the daemon copes. (`Warning` is Python's own.)"""


class Fault(Told, frozen=True, kw_only=True):
    """Something failed: an engine, a job, a session, or what an observer asked for."""


class Beat(Payload, frozen=True, kw_only=True):
    """A ping, or the pong to it, which has the same `sequence`."""

    sequence: Count = 0


class Metadata(Payload, frozen=True, kw_only=True):
    """What the daemon is, and how much of everything there is. The first message of a connection;
    `snapshot` further ones then say how everything is now, before what happens from then on."""

    version: Name
    uptime_s: Amount
    sessions: Count
    observers: Count
    engines: dict[Word, Name]
    heat: Word
    jobs: dict[Word, Count] = {}
    settings: dict[Word, str | int | float | bool] = {}
    snapshot: Count = 0


class ClientMessage(
    Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True
):
    """What an observer may say: a ping of its own, or the pong to one of ours."""

    payload: Beat = Beat()
    timestamp: datetime | None = None


class ClientPing(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Asks for a pong with the same `sequence`."""


class ClientPong(ClientMessage, frozen=True, kw_only=True, tag="pong"):
    """Answers a ping."""


class Envelope(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Base of all messages."""

    payload: Any
    timestamp: datetime


class FrameMessage(Envelope, frozen=True, kw_only=True, tag="frame"):
    """A segment of a job is there."""

    payload: Frame


class PartialResultMessage(Envelope, frozen=True, kw_only=True, tag="partial_result"):
    """A session goes on."""

    payload: PartialResult


class ProgressMessage(Envelope, frozen=True, kw_only=True, tag="progress"):
    """A job goes on."""

    payload: Progress


class PluginStatusMessage(Envelope, frozen=True, kw_only=True, tag="plugin_status"):
    """An engine, or another part, has changed."""

    payload: PluginStatus


class WarningMessage(Envelope, frozen=True, kw_only=True, tag="warning"):
    """Something that a person should know of."""

    payload: Warning_


class ErrorMessage(Envelope, frozen=True, kw_only=True, tag="error"):
    """Something failed."""

    payload: Fault


class PingMessage(Envelope, frozen=True, kw_only=True, tag="ping"):
    """Are you there?"""

    payload: Beat


class PongMessage(Envelope, frozen=True, kw_only=True, tag="pong"):
    """Yes."""

    payload: Beat


class MetadataMessage(Envelope, frozen=True, kw_only=True, tag="metadata"):
    """What the daemon is."""

    payload: Metadata


Message = (
    FrameMessage
    | PartialResultMessage
    | ProgressMessage
    | PluginStatusMessage
    | WarningMessage
    | ErrorMessage
    | PingMessage
    | PongMessage
    | MetadataMessage
)

Report = Frame | PartialResult | Progress | PluginStatus | Warning_ | Fault | Metadata
"""What the parts of the daemon tell."""

MESSAGES: Final[dict[type[Payload], Callable[..., Message]]] = {
    Frame: FrameMessage,
    PartialResult: PartialResultMessage,
    Progress: ProgressMessage,
    PluginStatus: PluginStatusMessage,
    Warning_: WarningMessage,
    Fault: ErrorMessage,
    Metadata: MetadataMessage,
}

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Message)


TYPES: Final[tuple[str, ...]] = get_args(Type)


class UnknownTypes(ValueError):
    """Somebody asks for messages of a type that there is not."""


class Invalid(ValueError):
    """A message that must not be sent: a fault of whoever made it. Names the field, never what
    was in it."""


def wrap(report: Report, at: datetime) -> Message:
    """The message that carries `report`."""
    return MESSAGES[type(report)](payload=report, timestamp=at)


def parse_types(text: str) -> frozenset[str] | None:
    """The types named in `text`, with commas between them; None, which is all, where it is empty.

    Raises `UnknownTypes`.
    """
    names = frozenset(name for name in text.split(",") if name)
    unknown = sorted(names.difference(TYPES))
    if unknown:
        raise UnknownTypes(
            f"Invalid value for 'types': '{unknown[0][:64]}'. Supported values, with commas between"
            f" them, are: {', '.join(TYPES)}."
        )
    return names or None


def type_of(message: Message) -> str:
    """Its `type` on the wire."""
    return str(message.__struct_config__.tag)


def encode(message: Message) -> str:
    """`message` as JSON, proven to be what it should be by reading it back.

    So a text that is too long, a percentage beyond 100 or a number that is none cannot get out,
    whatever a caller has put into a struct. Raises `Invalid`.
    """
    try:
        text = _ENCODER.encode(message)
        if _DECODER.decode(text) != message:
            raise Invalid("a value has no form on the wire")  # NaN becomes null
    except Invalid:
        raise
    except (msgspec.MsgspecError, TypeError, ValueError) as error:
        problem = str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
        raise Invalid(problem) from None
    return text.decode()


def utc_now() -> datetime:
    """Wall time, for records."""
    return datetime.now(UTC)
