"""One answer of a model, through as many rounds of tool calls as it takes.

The daemon's own tools and those of the client are offered side by side. The daemon's run in
here, unseen by the client; a call for the client ends the answer, since only the client can go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from voiced.engines.ports import ReplyEnd, TextDelta, ToolCall, ToolChoice
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from voiced.engines.ports import Llm
    from voiced.tools.toolbox import Toolbox, ToolContext

MOST_TOOL_ROUNDS = 4
"""How often one answer may ask for tools; a model that loops is stopped here."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a model is asked, in the OpenAI chat shape.

    `tools` are the client's, each with `name`, `description` and `parameters`; one named like a
    tool of the daemon takes its place. `max_output_tokens` bounds all that the model writes in
    all rounds, its calls included. Without `parallel_tool_calls` only the first call of a round
    counts.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | None = None
    parallel_tool_calls: bool = True


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended, what the client is to call, and what all rounds cost together."""

    finish: Literal["stop", "tool_calls", "length"]
    calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0


class Round(msgspec.Struct):
    """What came of asking the model once."""

    said: list[str]
    calls: list[ToolCall]
    end: ReplyEnd


async def converse(
    llm: Llm,
    toolbox: Toolbox,
    question: Question,
    context: ToolContext,
    sink: Callable[[str], Awaitable[None]],
) -> Answered:
    """Pass text deltas to `sink` and return when the answer is complete.

    Calls for the daemon that come together with calls for the client are dropped: the model is
    asked again with what the client answers, and has them then. Raises `EngineError`. Cancelling
    stops the engine and the tool that runs.
    """
    messages = list(question.messages)
    theirs = {tool["name"] for tool in question.tools}
    tools = offered(question, toolbox)
    choice = question.tool_choice
    read = written = 0
    for _ in range(MOST_TOOL_ROUNDS):
        left = None if question.max_output_tokens is None else question.max_output_tokens - written
        if left is not None and left <= 0:
            return Answered(finish="length", input_tokens=read, output_tokens=written)
        this = await ask(llm, messages, tools, choice, left, sink)
        read += this.end.input_tokens
        written += this.end.output_tokens
        calls = this.calls if question.parallel_tool_calls else this.calls[:1]
        asked = tuple(call for call in calls if call.name in theirs)
        if asked or not calls:
            return Answered(
                finish="tool_calls"
                if asked
                else "length"
                if this.end.finish == "length"
                else "stop",
                calls=asked,
                input_tokens=read,
                output_tokens=written,
            )
        messages.append(assistant_message("".join(this.said), calls))
        for call in calls:
            result = await toolbox.call(call.name, call.arguments, context)
            messages.append({"role": "tool", "tool_call_id": call.call_id, "content": result})
        choice = "auto"  # a call that was insisted on has been made
    raise EngineFailed(
        f"the model asked for tools {MOST_TOOL_ROUNDS} times and gave no answer",
        public="The assistant did not come to an answer.",
    )


def offered(question: Question, toolbox: Toolbox) -> list[Mapping[str, Any]]:
    """The tools that the model may call: none of the daemon's where the client insists on a call
    and brought tools of its own, for it waits for one of those."""
    theirs = {tool["name"] for tool in question.tools}
    insists = bool(theirs) and question.tool_choice not in ("auto", "none")
    ours = [] if insists else [tool for tool in toolbox.schemas() if tool["name"] not in theirs]
    return [*question.tools, *ours]


async def ask(
    llm: Llm,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    tool_choice: ToolChoice,
    max_output_tokens: int | None,
    sink: Callable[[str], Awaitable[None]],
) -> Round:
    """Ask the model once."""
    this = Round(said=[], calls=[], end=ReplyEnd(finish="stop"))
    async with llm.reply(
        messages, tools=tools, tool_choice=tool_choice, max_output_tokens=max_output_tokens
    ) as parts:
        async for part in parts:
            if isinstance(part, TextDelta):
                this.said.append(part.text)
                await sink(part.text)
            elif isinstance(part, ToolCall):
                this.calls.append(part)
            else:
                this.end = part
    return this


def assistant_message(text: str, calls: Sequence[ToolCall]) -> Mapping[str, Any]:
    """The assistant's turn that asked for tools, in the OpenAI chat shape."""
    return {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ],
    }
