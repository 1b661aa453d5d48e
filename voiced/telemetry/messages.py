"""What observers of the daemon are told, as structs, and the one way from a struct to the wire.

Every message is `{type, payload, timestamp}`, the timestamp in UTC as RFC 3339 has it. Nothing is
sent that was not read back first: see `encode`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from voiced.telemetry.payloads import (
    Beat,
    Fault,
    Frame,
    Metadata,
    PartialResult,
    Payload,
    PluginStatus,
    Progress,
    Report,
    Warning_,
)

if TYPE_CHECKING:
    from collections.abc import Callable

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


Instant = Annotated[datetime, Meta(tz=True)]


class ClientMessage(
    Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True
):
    """What an observer may say: a ping of its own, or the pong to one of ours."""

    payload: Beat = Beat()
    timestamp: Instant | None = None


class ClientPing(ClientMessage, frozen=True, kw_only=True, tag="ping"):
    """Asks for a pong with the same `sequence`."""


class ClientPong(ClientMessage, frozen=True, kw_only=True, tag="pong"):
    """Answers a ping."""


class Envelope(Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """Base of all messages."""

    payload: Any
    timestamp: Instant


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
