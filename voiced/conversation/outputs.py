"""What a response puts out: its items and parts, opened, filled and closed.

The order of closing events is that of the real service: audio before transcript, part before
item, and `conversation.item.done` before `response.output_item.done`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation.context import as_heard
from voiced.conversation.effects import KeepAudio, StoreItem
from voiced.conversation.items import (
    Entry,
    FunctionCall,
    Item,
    Message,
    OutputAudio,
    OutputText,
    Span,
)

if TYPE_CHECKING:
    from voiced.conversation.inputs import ReplyAudio
    from voiced.conversation.state import ActiveResponse, Draft


def open_item(draft: Draft, response: ActiveResponse, item: Item) -> ActiveResponse:
    """Add an item to the response's outputs and, unless it is out-of-band, to the conversation."""
    entry = Entry(item=item)
    index = len(response.outputs)
    response = structs.replace(response, outputs=(*response.outputs, entry))
    draft.put_response(response)
    draft.emit(ev.OutputItemAdded(response_id=response.id, output_index=index, item=item))
    if response.conversation_id is not None:
        previous = draft.state.last_item_id
        draft.add_entry(entry)
        draft.emit(ev.ItemAdded(previous_item_id=previous, item=item))
    return response


def open_message(draft: Draft, response: ActiveResponse) -> tuple[ActiveResponse, Entry]:
    """Add the response's message item and its one content part, before the first delta."""
    if (entry := response.message) is not None:
        return response, entry
    empty = Message(id=draft.new_id("item"), role="assistant", status="in_progress")
    response = open_item(draft, response, empty)
    part = (
        ev.WirePart(type="text", text="")
        if response.options.modality == "text"
        else ev.WirePart(type="audio", transcript="")
    )
    draft.emit(
        ev.ContentPartAdded(
            response_id=response.id,
            item_id=empty.id,
            output_index=response.index_of(empty.id),
            part=part,
        )
    )
    return response, response.outputs[-1]


def add_text(draft: Draft, response: ActiveResponse, text: str) -> None:
    """One more delta of text; in an audio response it is one clause of the transcript."""
    response, entry = open_message(draft, response)
    ids = part_ids(response, entry)
    if response.options.modality == "text":
        content = OutputText(written(entry) + text)
        entry = structs.replace(entry, item=structs.replace(entry.item, content=(content,)))
        draft.emit(ev.OutputTextDelta(**ids, delta=text))
    else:
        entry = structs.replace(entry, spans=(*entry.spans, Span(text)))
        draft.emit(ev.AudioTranscriptDelta(**ids, delta=text))
    draft.put_response(response.with_output(entry))


def add_audio(draft: Draft, response: ActiveResponse, event: ReplyAudio) -> None:
    """One more delta of audio, belonging to one clause of what was announced as text."""
    entry = response.message
    if entry is None or not 0 <= event.span < len(entry.spans):
        return
    spans = list(entry.spans)
    span = spans[event.span]
    spans[event.span] = Span(span.text, span.sent_ms + event.duration_ms, event.clause_ms)
    draft.emit(ev.OutputAudioDelta(**part_ids(response, entry), delta=event.audio))
    if response.conversation_id is not None and entry.heard_ms is None:
        form = response.options.format
        draft.effects.append(KeepAudio(entry.item.id, event.audio, form))
    entry = structs.replace(entry, spans=tuple(spans))
    draft.put_response(response.with_output(entry))
    if not draft.state.voice_fixed:
        draft.set(voice_fixed=True)


def part_ids(response: ActiveResponse, entry: Entry) -> dict[str, Any]:
    """The ids that every event of that item's part carries."""
    item_id = entry.item.id
    return {
        "response_id": response.id,
        "item_id": item_id,
        "output_index": response.index_of(item_id),
    }


def written(entry: Entry) -> str:
    """All text of the reply so far: what the deltas add up to."""
    if entry.spans:
        return "".join(span.text for span in entry.spans)
    first = entry.content[0] if entry.content else None
    return first.text if isinstance(first, OutputText) else ""


def close_outputs(
    draft: Draft, response: ActiveResponse, *, whole: bool, calls_whole: bool
) -> tuple[Item, ...]:
    """Close every output; their items as they now stand, in the order of their indexes.

    The message comes first: a client that runs a function is not to speak into the rest of it.
    """
    closed: dict[str, Item] = {}
    for entry in sorted(response.outputs, key=lambda entry: entry.role is None):
        if entry.role is not None:
            item: Item = close_message(draft, response, entry, whole=whole)
        else:
            item = close_call(draft, response, entry, whole=calls_whole)
        closed[item.id] = item
    return tuple(closed[entry.item.id] for entry in response.outputs)


def close_without_part(draft: Draft, response: ActiveResponse, *, whole: bool) -> tuple[Item, ...]:
    """An out-of-band response to which nothing came has an empty message all the same."""
    empty = Message(id=draft.new_id("item"), role="assistant", status="in_progress")
    response = open_item(draft, response, empty)
    item = structs.replace(empty, status="completed" if whole else "incomplete")
    close_item(draft, response, Entry(item=item))
    return (item,)


def close_message(draft: Draft, response: ActiveResponse, entry: Entry, *, whole: bool) -> Item:
    """The closing events of the response's message; returns it as it now stands."""
    ids = part_ids(response, entry)
    text = written(entry)
    content: OutputText | OutputAudio
    if response.options.modality == "text":
        draft.emit(ev.OutputTextDone(**ids, text=text))
        draft.emit(ev.ContentPartDone(**ids, part=ev.WirePart(type="text", text=text)))
        content = OutputText(text)
    else:
        draft.emit(ev.OutputAudioDone(**ids))
        draft.emit(ev.AudioTranscriptDone(**ids, transcript=text))
        draft.emit(ev.ContentPartDone(**ids, part=ev.WirePart(type="audio", transcript=text)))
        content = OutputAudio(text)
    if entry.heard_ms is not None:
        content = OutputAudio()
    item = structs.replace(
        entry.item, status="completed" if whole else "incomplete", content=(content,)
    )
    close_item(draft, response, structs.replace(entry, item=item))
    return item


def close_item(draft: Draft, response: ActiveResponse, closed: Entry) -> None:
    """The last events of any output, which now stands as it will in the history."""
    item = closed.item
    previous = None
    if response.conversation_id is not None:
        draft.put_entry(closed)
        draft.effects.append(StoreItem(as_heard(closed)))
        previous = draft.state.before(item.id)
    index = response.index_of(item.id)
    draft.emit(ev.ItemDone(previous_item_id=previous, item=item))
    draft.emit(ev.OutputItemDone(response_id=response.id, output_index=index, item=item))


CALLS_KEPT = 32
"""Calls of out-of-band responses that can still be answered: twice what may run at once."""


def close_call(draft: Draft, response: ActiveResponse, entry: Entry, *, whole: bool) -> Item:
    """The closing events of a call. A client runs it where it is `completed`, and only there."""
    item = entry.item
    assert isinstance(item, FunctionCall)
    draft.emit(
        ev.CallArgumentsDone(
            response_id=response.id,
            item_id=item.id,
            output_index=response.index_of(item.id),
            call_id=item.call_id,
            name=item.name,
            arguments=item.arguments,
        )
    )
    item = structs.replace(item, status="completed" if whole else "incomplete")
    close_item(draft, response, structs.replace(entry, item=item))
    if response.conversation_id is None and whole:
        kept = (*draft.state.calls_beside, item)
        draft.set(calls_beside=kept[-CALLS_KEPT:])
    return item
