"""Function calls within a response: the client's functions, asked for by the model.

The daemon's own tools never come here: they run inside the response, unseen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from voiced.conversation import events as ev
from voiced.conversation.items import Entry, FunctionCall
from voiced.conversation.outputs import open_item

LONGEST_ID = 64

if TYPE_CHECKING:
    from voiced.conversation.inputs import ReplyCall
    from voiced.conversation.state import ActiveResponse, Draft


def add_call(draft: Draft, response: ActiveResponse, event: ReplyCall) -> None:
    """Open a call and pass on its arguments; it is closed, and to be run, with the response.

    Of a function that the response does not offer, or of a second one where only one may be
    asked for, nothing is said: a client could do nothing with it.
    """
    options = response.options
    calls = sum(isinstance(entry.item, FunctionCall) for entry in response.outputs)
    if (
        options.tool_choice == "none"
        or all(tool.name != event.name for tool in options.tools)
        or (calls and not options.parallel_tool_calls)
    ):
        return
    item = FunctionCall(
        id=draft.new_id("item"),
        status="in_progress",
        name=event.name,
        call_id=usable_id(draft, event.call_id),
        arguments="",
    )
    response = open_item(draft, response, item)
    if event.arguments:
        draft.emit(
            ev.CallArgumentsDelta(
                response_id=response.id,
                item_id=item.id,
                output_index=response.index_of(item.id),
                call_id=item.call_id,
                delta=event.arguments,
            )
        )
        whole = Entry(item=structs.replace(item, arguments=event.arguments))
        draft.put_response(response.with_output(whole))


def with_own(response: ActiveResponse, own: tuple[dict[str, Any], ...]) -> ActiveResponse:
    """The response with what the daemon's tools did in it, kept with its first call."""
    call = next((e for e in response.outputs if isinstance(e.item, FunctionCall)), None)
    if call is None or not own:
        return response
    return response.with_output(structs.replace(call, own=own))


def usable_id(draft: Draft, call_id: str) -> str:
    """The model's own id, where clients can take it and no other call has it."""
    legal = call_id.isascii() and call_id.replace("_", "").replace("-", "").isalnum()
    if legal and len(call_id) <= LONGEST_ID and not draft.state.knows_call(call_id):
        return call_id
    return draft.new_id("call")
