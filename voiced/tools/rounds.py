"""One answer of a model, through as many rounds of tool calls as it takes.

The daemon's own tools and those of the client are offered side by side. The daemon's run in
here, unseen by the client; a call for the client ends the answer, since only the client can go on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from voiced.engines.ports import ReplyEnd, ToolCall, ToolChoice
from voiced.errors import NoAnswer, ToolChoiceError

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
    counts. `remembers`: whoever asks keeps `Answered.own`, and shows it with the client's answer.
    """

    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: ToolChoice = "auto"
    max_output_tokens: int | None = None
    parallel_tool_calls: bool = True
    remembers: bool = False


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended, what the client is to call, and what all rounds cost together.

    `own` is what the daemon's tools were asked on the way, and what they answered. Of the input,
    `cached_tokens` were still known; `dropped_messages` had no room in the model's
    context, of which `context_tokens` were used at most.
    """

    finish: Literal["stop", "tool_calls", "length"]
    calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    dropped_messages: int = 0
    context_tokens: int = 0
    own: tuple[Mapping[str, Any], ...] = ()


class Round(msgspec.Struct):
    """What came of asking the model once."""

    calls: list[ToolCall]
    end: ReplyEnd
    said: str = ""


async def converse(
    llm: Llm,
    toolbox: Toolbox,
    question: Question,
    context: ToolContext,
    sink: Callable[[str], Awaitable[None]],
    on_call: Callable[[ToolCall], None] = lambda _call: None,
) -> Answered:
    """Pass text deltas to `sink`, calls for the client to `on_call` as soon as they are known,
    and return when the answer is complete.

    Calls for the daemon that come together with calls for the client are run where the asker
    remembers what came of them, else dropped: the model is asked again with what the client
    answers, and has them then. Raises `EngineError`. Cancelling stops the engine and the tool
    that runs.
    """
    messages = list(question.messages)
    theirs = {tool["name"] for tool in question.tools}
    tools = offered(question, toolbox)
    choice = question.tool_choice
    read = written = cached = dropped = longest = 0
    own: list[Mapping[str, Any]] = []

    def ended(finish: Literal["stop", "tool_calls", "length"], *calls: ToolCall) -> Answered:
        return Answered(
            finish=finish,
            calls=calls,
            input_tokens=read,
            output_tokens=written,
            cached_tokens=cached,
            dropped_messages=dropped,
            context_tokens=longest,
            own=tuple(own),
        )

    for _ in range(MOST_TOOL_ROUNDS):
        left = None if question.max_output_tokens is None else question.max_output_tokens - written
        if left is not None and left <= 0:
            return ended("length")
        taken = Taken(question, on_call)
        this = await ask(llm, messages, tools, choice, left, sink, taken)
        read += this.end.input_tokens
        written += this.end.output_tokens
        cached += this.end.cached_tokens
        dropped = max(dropped, this.end.dropped_messages)
        longest = max(longest, this.end.input_tokens + this.end.output_tokens)
        asked = [call for call in this.calls if call.name in theirs]
        ours = [call for call in this.calls if call.name not in theirs]
        if ours and (question.remembers or not asked):
            results = [await result_of(toolbox, call, context) for call in ours]
            messages += [assistant_message(this.said, ours), *results]
            own += [assistant_message("", ours), *results]
        if asked:
            return ended("tool_calls", *asked)
        if this.end.finish == "length":
            return ended("length")
        if not ours:
            return ended("stop")
        choice, tools = "auto", offered(question, toolbox, "auto")  # the call has been made
    raise NoAnswer(
        f"the model asked for tools {MOST_TOOL_ROUNDS} times and gave no answer",
        public="The assistant did not come to an answer.",
    )


def offered(
    question: Question, toolbox: Toolbox, choice: ToolChoice | None = None
) -> list[Mapping[str, Any]]:
    """The tools that the model may call: none of the daemon's where the client requires a call
    and brought tools of its own, for it waits for one of those. Raises `ToolChoiceError` where
    the one that must be called is none of them."""
    choice = question.tool_choice if choice is None else choice
    theirs = {tool["name"] for tool in question.tools}
    ours = [tool for tool in toolbox.schemas() if tool["name"] not in theirs]
    tools = [*question.tools, *ours]
    if isinstance(choice, Mapping):
        tools = [tool for tool in tools if tool["name"] == choice["name"]]
        if not tools:
            raise ToolChoiceError(f"There is no tool '{choice['name']}' to call.")
    elif choice == "required" and theirs:
        tools = [*question.tools]
    return tools


async def result_of(toolbox: Toolbox, call: ToolCall, context: ToolContext) -> Mapping[str, Any]:
    """What one of the daemon's tools answers, as a message."""
    result = await toolbox.call(call.name, call.arguments, context)
    return {"role": "tool", "tool_call_id": call.call_id, "content": result}


async def ask(
    llm: Llm,
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    tool_choice: ToolChoice,
    max_output_tokens: int | None,
    sink: Callable[[str], Awaitable[None]],
    on_call: Callable[[ToolCall], bool],
) -> Round:
    """Ask the model once. An engine that does not keep to its limit is stopped there, and what
    it took and wrote is counted here, in words."""
    this = Round(calls=[], end=ReplyEnd(finish="length"))
    allowance = Allowance(max_output_tokens)
    async with llm.reply(
        messages, tools=tools, tool_choice=tool_choice, max_output_tokens=max_output_tokens
    ) as parts:
        async for part in parts:
            if isinstance(part, ReplyEnd):
                this.end = part
            elif isinstance(part, ToolCall):
                if allowance.take_whole(f"{part.name} {part.arguments}") and on_call(part):
                    this.calls.append(part)
            elif text := allowance.take(part.text):
                await sink(text)
            if allowance.spent:
                read = sum(map(words_of, messages))
                this.end = ReplyEnd(
                    finish="length", input_tokens=read, output_tokens=allowance.taken
                )
                break
    this.said = allowance.text
    return this


class Taken:
    """Decides which calls of one round count, and passes the client's on."""

    def __init__(self, question: Question, on_call: Callable[[ToolCall], None]) -> None:
        self._question = question
        self._theirs = {tool["name"] for tool in question.tools}
        self._on_call = on_call
        self._count = 0

    def __call__(self, call: ToolCall) -> bool:
        question = self._question
        if question.tool_choice == "none":
            return False  # asked for all the same
        if self._count and not question.parallel_tool_calls:
            return False
        self._count += 1
        if call.name in self._theirs:
            self._on_call(call)
        return True


WORD = re.compile(r"\S+")


class Allowance:
    """The words that an answer may still have, for engines that do not keep to their limit.

    A token is never more than a word, so that an engine which counts tokens is never cut here.
    """

    def __init__(self, most: int | None) -> None:
        self._most = most
        self._pieces: list[str] = []
        self._in_word = False
        self.taken = 0
        self.spent = False

    @property
    def text(self) -> str:
        """All text that was taken."""
        return "".join(self._pieces)

    def take(self, text: str) -> str:
        """As much of `text` as is allowed; `spent` where that is not all of it."""
        for word in WORD.finditer(text):
            if word.start() == 0 and self._in_word:
                continue
            if self.taken == self._most:
                self.spent = True
                text = text[: word.start()]
                break
            self.taken += 1
        if text:
            self._in_word = not text[-1].isspace()
            self._pieces.append(text)
        return text

    def take_whole(self, text: str) -> bool:
        """Whether all of `text` is allowed; part of a call would be none."""
        count = len(text.split())
        if self._most is not None and self.taken + count > self._most:
            self.spent = True
        else:
            self.taken += count
        return not self.spent


def words_of(message: Mapping[str, Any]) -> int:
    """The words of a message in OpenAI's chat shape."""
    return len(str(message.get("content") or "").split())


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
