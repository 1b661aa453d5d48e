"""What a client may do to items: create, retrieve, delete, truncate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation import inputs as inp
from voiced.conversation.config import Rejected
from voiced.conversation.context import as_heard
from voiced.conversation.effects import CutAudio, ForgetAudio, HearAudio, StoreItem
from voiced.conversation.given import NewCall, entry_of, given_audio, transcripts
from voiced.conversation.items import OutputAudio
from voiced.conversation.summary import forget_summary

if TYPE_CHECKING:
    from voiced.conversation.state import Draft

OVERSHOOT_MS = 500
"""Clients truncate by their own clock, often some ms beyond the audio there is; that much is
clamped, more is an error (REALTIME: reports of 85 ms)."""

ROOT = "root"
"""As `previous_item_id`: the front of the conversation."""


def create_item(draft: Draft, event: inp.CreateItem) -> None:
    """Insert a typed or spoken message, a function call, or the output of one."""
    new = event.item
    item_id = new.id or draft.new_id("item")
    if item_id in draft.state.unheard:
        message = f"Item '{item_id}' was deleted, but its words are still to come."
        raise Rejected("invalid_value", message, param="item.id")
    if draft.state.knows(item_id) or item_id == ROOT:
        raise Rejected("invalid_value", f"Item '{item_id}' already exists.", param="item.id")
    call_id = ""
    if isinstance(new, NewCall):
        call_id = new.call_id or draft.new_id("call")
        if draft.state.knows_call(call_id):
            raise Rejected(
                "invalid_value", f"Call '{call_id}' already exists.", param="item.call_id"
            )
    entry = entry_of(draft.state, new, item_id, "item", call_id=call_id)
    at_root = event.previous_item_id == ROOT
    after = None if at_root else event.previous_item_id
    if after is not None and draft.state.entry(after) is None:
        raise Rejected(
            "item_create_invalid_previous_item_id",
            f"Previous item '{after}' does not exist.",
            param="previous_item_id",
        )
    item, audio = entry.item, given_audio(new)
    unheard = audio is not None and not any(transcripts(item))
    entry = structs.replace(entry, transcribing=unheard and draft.state.transcribes)
    draft.add_entry(entry, after, at_root=at_root)
    if entry.role == "user":
        draft.set(awaits_user=False)
    previous = draft.state.before(item_id)
    draft.emit(ev.ItemAdded(previous_item_id=previous, item=item))
    draft.emit(ev.ItemDone(previous_item_id=previous, item=item))
    draft.effects.append(StoreItem(item))
    if audio is not None:
        draft.effects.append(HearAudio(item_id, audio, entry.transcribing))


def retrieve_item(draft: Draft, event: inp.RetrieveItem) -> None:
    """Show an item as it now stands. The owner of its audio puts that in."""
    entry = draft.state.entry(event.item_id)
    if entry is None:
        raise missing("item_retrieve_invalid_item_id", event.item_id)
    draft.emit(ev.ItemRetrieved(item=entry.item))


def delete_item(draft: Draft, event: inp.DeleteItem) -> None:
    """Remove an item that is not being generated."""
    entry = draft.state.entry(event.item_id)
    if entry is None or entry.item.status == "in_progress":
        raise missing("item_delete_invalid_item_id", event.item_id)
    draft.set(entries=tuple(e for e in draft.state.entries if e.item.id != event.item_id))
    forget_summary(draft, event.item_id)
    if entry.transcribing:
        draft.set(unheard=draft.state.unheard | {event.item_id})
    draft.emit(ev.ItemDeleted(item_id=event.item_id))
    draft.effects.append(ForgetAudio(event.item_id))


def truncate_item(draft: Draft, event: inp.TruncateItem) -> None:
    """Cut an assistant's audio to what was heard; the rest leaves the model's context.

    A truncation never gives back what an earlier one took; one that asks for more is answered
    with what is left, since clients send two where cancel and truncate race.
    """
    entry = draft.state.entry(event.item_id)
    if entry is None:
        raise missing("item_truncate_invalid_item_id", event.item_id)
    if event.content_index != 0:
        raise Rejected("invalid_value", "The item has one content part.", param="content_index")
    if not entry.spans:
        raise Rejected(
            "unsupported_content_type", "Only assistant audio messages can be truncated."
        )
    sent_ms = entry.sent_ms
    if event.audio_end_ms > sent_ms + OVERSHOOT_MS:
        raise Rejected(
            "invalid_value",
            f"Audio content of {sent_ms:.0f}ms is already shorter than {event.audio_end_ms}ms",
            param="audio_end_ms",
        )
    forget_summary(draft, event.item_id)
    heard_ms = min(event.audio_end_ms, int(sent_ms))
    if entry.heard_ms is not None:
        heard_ms = min(heard_ms, int(entry.heard_ms))
    entry = structs.replace(entry, heard_ms=float(heard_ms))
    active = draft.state.active
    if entry.item.status == "in_progress" and active is not None:
        draft.put_response(active.with_output(entry))
    else:
        entry = structs.replace(entry, item=structs.replace(entry.item, content=(OutputAudio(),)))
        draft.put_entry(entry)
        draft.effects.append(StoreItem(as_heard(entry)))
    draft.effects.append(CutAudio(event.item_id, heard_ms))
    draft.emit(ev.ItemTruncated(item_id=event.item_id, content_index=0, audio_end_ms=heard_ms))


def missing(code: str, item_id: str) -> Rejected:
    """The error for an item that is not there."""
    return Rejected(code, f"Item '{item_id}' does not exist.")
