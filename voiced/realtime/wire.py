"""Client events as they come off the wire: one strict struct each, decoded in one pass.

`input_audio_buffer.append` is nearly all the traffic; msgspec decodes its base64 straight
into bytes. Everything else becomes an input of the conversation core. What cannot be decoded
becomes a `RefuseEvent` with the protocol's code and the client's own `event_id`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from voiced.conversation import inputs as inp
from voiced.conversation.config import Rejected, rejected_by
from voiced.conversation.given import AnyNewItem, ItemId, NewMessage
from voiced.conversation.items import InputAudio, ItemStatus
from voiced.conversation.paths import with_indexes

MOST_CONTROL_CHARS = 262_144
"""Only audio may be longer: anything else this long would cost the other sessions the time it
takes to build it, and memory for as long as it is kept."""

MOST_READ_CHARS = 8_388_608
"""Of a longer event that is refused not even the id is read: up to here that takes no longer than
decoding the longest audio does."""

EventId = Annotated[str, Meta(max_length=512)]


class ClientEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all client events; `event_id` is echoed only in errors."""

    event_id: EventId | None = None


class SessionUpdate(ClientEvent, tag="session.update", frozen=True, kw_only=True):
    """Changes the session: what is given is merged in, whole or not at all."""

    session: dict[str, Any]


class Append(ClientEvent, tag="input_audio_buffer.append", frozen=True, kw_only=True):
    """Audio in the session's input format."""

    audio: bytes


class Commit(ClientEvent, tag="input_audio_buffer.commit", frozen=True, kw_only=True):
    """The audio so far is what the user said; asks for no answer by itself."""


class Clear(ClientEvent, tag="input_audio_buffer.clear", frozen=True, kw_only=True):
    """Forgets the audio that is not committed."""


class ItemCreate(ClientEvent, tag="conversation.item.create", frozen=True, kw_only=True):
    """Puts an item into the conversation: behind that one, at the end, or first (`root`)."""

    item: AnyNewItem
    previous_item_id: str | None = None


class ItemRetrieve(ClientEvent, tag="conversation.item.retrieve", frozen=True, kw_only=True):
    """Asks for an item as it now stands."""

    item_id: str


class ItemDelete(ClientEvent, tag="conversation.item.delete", frozen=True, kw_only=True):
    """Takes an item out of the conversation."""

    item_id: str


class ItemTruncate(ClientEvent, tag="conversation.item.truncate", frozen=True, kw_only=True):
    """Says how much of an assistant's audio was heard; the model forgets the rest."""

    item_id: str
    content_index: Annotated[int, Meta(ge=0)]
    audio_end_ms: Annotated[int, Meta(ge=0)]


class ResponseCreate(ClientEvent, tag="response.create", frozen=True, kw_only=True):
    """Asks for an answer, with settings of its own where they are given."""

    response: dict[str, Any] | None = None


class ResponseCancel(ClientEvent, tag="response.cancel", frozen=True, kw_only=True):
    """Stops a response: that one, or the one of the default conversation."""

    response_id: str | None = None


AnyEvent = (
    Append
    | SessionUpdate
    | Commit
    | Clear
    | ItemCreate
    | ItemRetrieve
    | ItemDelete
    | ItemTruncate
    | ResponseCreate
    | ResponseCancel
)


class LongMessage(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="message"
):
    """A message whose only content is audio: nothing else in it can be long."""

    role: Literal["user"]
    content: tuple[InputAudio]
    id: ItemId | None = None
    status: ItemStatus | None = None
    object: Literal["realtime.item"] | None = None


class LongItemCreate(ClientEvent, tag="conversation.item.create", frozen=True, kw_only=True):
    """`conversation.item.create` with audio, as it may be longer than other control events."""

    item: LongMessage
    previous_item_id: ItemId | None = None


class Head(Struct, frozen=True):
    """What can be read of any event without building the rest of it."""

    event_id: EventId | None = None


DECODER = msgspec.json.Decoder(AnyEvent)
HEAD_DECODER = msgspec.json.Decoder(Head)
LONG_DECODER = msgspec.json.Decoder(Append | LongItemCreate)
NAMES = tuple(sorted(str(kind.__struct_config__.tag) for kind in AnyEvent.__args__))


class Garbage(inp.RefuseEvent, frozen=True, kw_only=True):
    """Not even a Realtime event: no JSON, or a binary frame. Repeated, it ends the connection."""


def decode(message: str | bytes) -> Append | Commit | inp.Input:
    """One message to an audio append, a commit, or an input for the core. Never raises.

    Append and commit concern the input buffer, which the session's audio pipeline keeps.
    """
    if isinstance(message, bytes):
        return Garbage(code="invalid_event", message="Only text frames are accepted.")
    long = len(message) > MOST_CONTROL_CHARS
    try:
        event = LONG_DECODER.decode(message) if long else DECODER.decode(message)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        return refusal_of_long(message, exc) if long else refusal(message, exc)
    return event if isinstance(event, Append | Commit) else to_input(event)


def to_input(event: AnyEvent | LongItemCreate) -> inp.Input:
    """The core's input for a decoded event."""
    event_id = event.event_id
    match event:
        case LongItemCreate():
            item = NewMessage(role="user", content=event.item.content, id=event.item.id)
            return inp.CreateItem(
                event_id=event_id, item=item, previous_item_id=event.previous_item_id
            )
        case SessionUpdate():
            return inp.UpdateSession(event_id=event_id, session=event.session)
        case Clear():
            return inp.ClearAudio(event_id=event_id)
        case ItemCreate():
            return inp.CreateItem(
                event_id=event_id, item=event.item, previous_item_id=event.previous_item_id
            )
        case ItemRetrieve():
            return inp.RetrieveItem(event_id=event_id, item_id=event.item_id)
        case ItemDelete():
            return inp.DeleteItem(event_id=event_id, item_id=event.item_id)
        case ItemTruncate():
            return inp.TruncateItem(
                event_id=event_id,
                item_id=event.item_id,
                content_index=event.content_index,
                audio_end_ms=event.audio_end_ms,
            )
        case ResponseCreate():
            return inp.CreateResponse(event_id=event_id, overrides=event.response or {})
        case ResponseCancel():
            return inp.CancelResponse(event_id=event_id, response_id=event.response_id)
        case _:
            raise TypeError(f"{type(event).__name__} is not an input of the core")


def refusal_of_long(message: str, problem: Exception) -> inp.RefuseEvent:
    """Why a long message was not understood, without building anything from it."""
    if not isinstance(problem, msgspec.ValidationError):
        return Garbage(code="invalid_json", message="The message is not valid JSON.")
    event_id = id_of_long(message)
    why = rejected_by(str(problem), "")
    if why.param == "audio":
        return inp.RefuseEvent(
            event_id=event_id, code=why.code, message=why.message, param=why.param
        )
    return inp.RefuseEvent(
        event_id=event_id,
        code="string_above_max_length",
        message="Only input_audio_buffer.append, and conversation.item.create with one part of "
        f"audio, may be longer than {MOST_CONTROL_CHARS} characters.",
    )


def id_of_long(message: str) -> str | None:
    """The client's own id of an event, where one can be read: clients for agents wait for ever
    for what they asked for where an error does not name it."""
    if len(message) > MOST_READ_CHARS:
        return None
    try:
        return HEAD_DECODER.decode(message).event_id
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def refusal(message: str, problem: Exception) -> inp.RefuseEvent:
    """Why a message was not understood, with its `event_id` where one can be read."""
    try:
        value = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Garbage(code="invalid_json", message="The message is not valid JSON.")
    if not isinstance(value, dict):
        return Garbage(code="invalid_event", message="An event must be a JSON object.")
    event_id = value.get("event_id")
    if not isinstance(event_id, str) or len(event_id) > 512:
        event_id = None
    kind = value.get("type")
    if not isinstance(kind, str):
        why = Rejected("invalid_event", "The event has no 'type'.", param="type")
    elif kind not in NAMES:
        known = ", ".join(NAMES)
        why = Rejected(
            "invalid_value",
            f"Invalid value: '{kind[:64]}'. Supported values are: {known}.",
            param="type",
        )
    else:
        why = rejected_by(with_indexes(str(problem), value, AnyEvent), "")
    return inp.RefuseEvent(event_id=event_id, code=why.code, message=why.message, param=why.param)
