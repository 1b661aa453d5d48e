"""The life of a response: created, opened, filled, closed; every path closes what it opened.

Each function works on a `Draft`. What a response puts out is in `outputs.py`.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation.config import Rejected
from voiced.conversation.context import build_messages
from voiced.conversation.effects import Abort, Generate, TellLimits
from voiced.conversation.foresight import take_up
from voiced.conversation.items import (
    CancelReason,
    FailureDetail,
    FunctionCall,
    Item,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseResource,
    ResponseStatus,
    StatusDetails,
    Usage,
    with_transcript,
)
from voiced.conversation.outputs import close_outputs, close_without_part
from voiced.conversation.snapshot import ResponsePlan, plan_response
from voiced.conversation.state import ActiveResponse, Draft

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
    context, summary = response.context, None
    if context is None:
        context = tuple(map(draft.state.live, draft.state.entries))
        summary = draft.state.summary
    messages = (
        () if response.say else build_messages(context, response.options.instructions, summary)
    )
    prepared = take_up(draft, response, messages)
    draft.effects.append(
        Generate(
            response_id=response.id,
            options=response.options,
            messages=messages,
            say=response.say,
            prepared=prepared,
        )
    )


def transcript_settled(draft: Draft, item_id: str, text: str | None) -> None:
    """The text of the item is known, or known not to come: let what waited for it go on."""
    if item_id in draft.state.unheard:
        draft.set(unheard=draft.state.unheard - {item_id})
    for response in draft.state.responses:
        if item_id not in response.waiting_for:
            continue
        context = response.context
        if context is not None:
            context = tuple(
                with_transcript(e, text) if e.transcribing and e.item.id == item_id else e
                for e in context
            )
        ready = structs.replace(
            response, waiting_for=response.waiting_for - {item_id}, context=context
        )
        draft.put_response(ready)
        if not ready.waiting_for:
            generate(draft, ready)


def close_response(
    draft: Draft,
    response: ActiveResponse,
    status: ResponseStatus,
    details: StatusDetails | None = None,
    *,
    usage: Usage | None = None,
    timing_ms: dict[str, float] | None = None,
    missing: dict[str, str] | None = None,
) -> None:
    """Close its outputs and then the response, once. `usage` is null where the engine was stopped
    before it could count."""
    whole, ended = status == "completed", status in ("completed", "incomplete")
    if ended and not response.outputs and response.conversation_id is None:
        output = close_without_part(draft, response, whole=whole)
    else:
        output = close_outputs(draft, response, whole=whole, calls_whole=ended)
    draft.set(responses=tuple(r for r in draft.state.responses if r.id != response.id))
    done = resource(
        response,
        status,
        details=details,
        output=output,
        usage=usage,
        timing_ms=timing_ms,
        missing=missing,
    )
    draft.emit(ev.ResponseDone(response=done))
    if response.conversation_id is not None and response.say is None:
        # After an answer it is the user's turn. To prompt again who did not answer is to nag, and
        # a client at work on a function is no user who is silent.
        asks = any(isinstance(item, FunctionCall) for item in output)
        draft.set(awaits_user=not asks and response.id != draft.state.prompt)
    if status != "cancelled" and not draft.state.closed:
        draft.effects.append(TellLimits())


def cancel_response(draft: Draft, response: ActiveResponse, reason: CancelReason) -> None:
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
    missing: dict[str, str] | None = None,
) -> ResponseResource:
    """The response object of the wire."""
    own: dict[str, Any] = {"timing_ms": timing_ms} if timing_ms else {}
    if missing:
        own["missing"] = missing
    extra: dict[str, Any] = {"voiced": own} if own else {}
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
