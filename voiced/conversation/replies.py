"""The life of a response: created, opened, filled, closed; every path closes what it opened.

Each function works on a `Draft`. The order of closing events is that of the real service:
audio before transcript, part before item, and `conversation.item.done` before
`response.output_item.done`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation.config import Rejected
from voiced.conversation.context import as_heard, build_messages
from voiced.conversation.effects import Abort, Generate, StoreItem
from voiced.conversation.items import (
    Entry,
    FailureDetail,
    Item,
    Message,
    OutputAudio,
    OutputText,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseResource,
    ResponseStatus,
    Span,
    StatusDetails,
    Usage,
)
from voiced.conversation.snapshot import ResponsePlan, plan_response
from voiced.conversation.state import ActiveResponse, Draft

if TYPE_CHECKING:
    from voiced.conversation.inputs import ReplyAudio


MOST_BESIDE = 16
"""Out-of-band responses that may run at once, each of which holds a place at the engines."""


def create_response(draft: Draft, plan: ResponsePlan | None = None) -> None:
    """Announce a response and set it to work as soon as its transcripts are known.

    Raises `Rejected` where the default conversation already has an active one. An announcement
    gives way instead, since its client could not know of it, and is made again afterwards.
    """
    plan = plan or plan_response(draft.state, {})
    if plan.in_conversation:
        make_way(draft, plan)
    elif sum(r.conversation_id is None for r in draft.state.responses) >= MOST_BESIDE:
        raise Rejected(
            "too_many_responses",
            f"{MOST_BESIDE} out-of-band responses are active; wait for one to be done before "
            "response.create.",
        )
    needed = plan.context if plan.context is not None else draft.state.entries
    if plan.say is not None:
        needed = ()
    response = ActiveResponse(
        id=draft.new_id("resp"),
        options=plan.options,
        conversation_id=draft.state.conversation_id if plan.in_conversation else None,
        max_output_tokens=plan.max_output_tokens,
        metadata=plan.metadata,
        waiting_for=frozenset(e.item.id for e in needed if e.transcribing),
        answers=needed[-1].item.id if needed else None,
        context=plan.context,
        say=plan.say,
    )
    draft.set(responses=(*draft.state.responses, response))
    draft.emit(ev.ResponseCreated(response=resource(response, "in_progress")))
    if not response.waiting_for:
        generate(draft, response)


def make_way(draft: Draft, plan: ResponsePlan) -> None:
    """See that the default conversation has no active response, or raise `Rejected`."""
    active = draft.state.active
    if active is not None:
        if active.say is None:
            raise Rejected(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: {active.id}. "
                "Wait until it is done, or cancel it, before response.create.",
            )
        cancel_response(draft, active, "client_cancelled")
        draft.set(announcements=(active.say, *draft.state.announcements))
    if plan.say is None:
        draft.set(response_owed=False)


def generate(draft: Draft, response: ActiveResponse) -> None:
    """Hand the response, whose context is now whole, to the engines."""
    context = response.context
    if context is None:
        context = tuple(map(draft.state.live, draft.state.entries))
    messages = () if response.say else build_messages(context, response.options.instructions)
    draft.effects.append(
        Generate(
            response_id=response.id,
            options=response.options,
            messages=messages,
            say=response.say,
        )
    )


def transcript_settled(draft: Draft, entry: Entry) -> None:
    """The text of `entry` is known: let every response that waited for it go on."""
    item_id = entry.item.id
    for response in draft.state.responses:
        if item_id not in response.waiting_for:
            continue
        context = response.context
        if context is not None:
            context = tuple(
                entry if e.transcribing and e.item.id == item_id else e for e in context
            )
        ready = structs.replace(
            response, waiting_for=response.waiting_for - {item_id}, context=context
        )
        draft.put_response(ready)
        if not ready.waiting_for:
            generate(draft, ready)


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


def close_response(
    draft: Draft,
    response: ActiveResponse,
    status: ResponseStatus,
    details: StatusDetails | None = None,
    *,
    usage: Usage | None = None,
    timing_ms: dict[str, float] | None = None,
) -> None:
    """Close the part, the item and the response, in that order, once."""
    whole = status == "completed"
    output = tuple(close_message(draft, response, e, whole=whole) for e in response.outputs)
    draft.set(responses=tuple(r for r in draft.state.responses if r.id != response.id))
    done = resource(
        response,
        status,
        details=details,
        output=output,
        usage=usage or Usage.of(0, 0),
        timing_ms=timing_ms,
    )
    draft.emit(ev.ResponseDone(response=done))


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


def cancel_response(draft: Draft, response: ActiveResponse, reason: str) -> None:
    """Stop the work first, so that nothing of it can follow, then close as cancelled."""
    draft.effects.append(Abort(response.id, reason))
    close_response(draft, response, "cancelled", StatusDetails(type="cancelled", reason=reason))


def fail_response(draft: Draft, response: ActiveResponse, code: str, message: str) -> None:
    """Close as failed, with a reason that a client may read."""
    draft.effects.append(Abort(response.id, code))
    failure = FailureDetail(type="server_error", code=code, message=message)
    close_response(draft, response, "failed", StatusDetails(type="failed", error=failure))


def resource(
    response: ActiveResponse,
    status: ResponseStatus,
    *,
    details: StatusDetails | None = None,
    output: tuple[Item, ...] = (),
    usage: Usage | None = None,
    timing_ms: dict[str, float] | None = None,
) -> ResponseResource:
    """The response object of the wire."""
    extra: dict[str, Any] = {"voiced": {"timing_ms": timing_ms}} if timing_ms else {}
    return ResponseResource(
        id=response.id,
        status=status,
        status_details=details,
        output=output,
        conversation_id=response.conversation_id,
        output_modalities=(response.options.modality,),
        max_output_tokens=response.max_output_tokens,
        audio=ResponseAudio(ResponseAudioOutput(response.options.format, response.options.voice)),
        usage=usage,
        metadata=response.metadata,
        **extra,
    )
