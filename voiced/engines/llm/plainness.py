"""A conversation in a plainer form, for a chat template that refuses it as it is."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Message = dict[str, Any]

OFFER = """\
You may call functions. They are:
<tools>
{tools}
</tools>
To call one, answer with nothing but this, a line of JSON between the two marks:
<tool_call>
{{"name": "its name", "arguments": {{"argument": "value"}}}}
</tool_call>"""
"""How functions are told to a model whose template knows none, in the words of Hermes, which
many models have seen."""


class Plainness(IntEnum):
    """How far a conversation is changed for a template that would refuse it."""

    AS_IT_IS = 0
    TEXT_ARGUMENTS = 1
    """Arguments of calls are text, as OpenAI sends them, in place of objects."""
    NO_TOOL_ROLES = 2
    """Calls and their results are words of the assistant and of the user."""
    ALTERNATING = 3
    """Neighbours of one role are one message, and a conversation begins with the user."""
    NO_SYSTEM = 4
    """The instructions stand in front of the user's first words."""


def reshape(
    messages: Sequence[Message],
    offered: Sequence[Message],
    plainness: Plainness,
    *,
    knows_tools: bool,
) -> list[Message]:
    """The messages in a form that more templates take; see `Plainness`."""
    told_here = not knows_tools or plainness >= Plainness.NO_TOOL_ROLES
    shaped = list(messages)
    if told_here:
        shaped = [_as_words(message) for message in shaped]
        if offered:
            shaped = _with_offer(shaped, offered)
    elif plainness < Plainness.TEXT_ARGUMENTS:
        shaped = [_with_objects(message) for message in shaped]
    if plainness >= Plainness.NO_SYSTEM:
        shaped = _without_system(shaped)
    if plainness >= Plainness.ALTERNATING:
        shaped = _alternating(shaped)
    return shaped


def _as_words(message: Message) -> Message:
    """A call or a result as words, in the marks of `OFFER`."""
    if message["role"] == "tool":
        content = f"<tool_response>\n{message['content']}\n</tool_response>"
        return {"role": "user", "content": content}
    calls = [
        f'<tool_call>\n{{"name": {json.dumps(call["function"]["name"])}, '
        f'"arguments": {call["function"]["arguments"]}}}\n</tool_call>'
        for call in message.get("tool_calls", ())
    ]
    content = "\n".join(text for text in (message["content"], *calls) if text)
    return {"role": message["role"], "content": content}


def _with_offer(messages: list[Message], offered: Sequence[Message]) -> list[Message]:
    text = OFFER.format(tools="\n".join(to_json(tool) for tool in offered))
    first = messages[:1]
    if first and first[0]["role"] == "system":
        content = f"{first[0]['content']}\n\n{text}"
        return [{"role": "system", "content": content}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _with_objects(message: Message) -> Message:
    """Arguments of calls as objects: most templates write them out as JSON themselves."""
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        try:
            arguments = json.loads(call["function"]["arguments"])
        except ValueError:
            arguments = {}
        calls.append({**call, "function": {**call["function"], "arguments": arguments}})
    return {**message, "tool_calls": calls}


def _without_system(messages: list[Message]) -> list[Message]:
    """What the system says, in front of what the user says next."""
    shaped: list[Message] = []
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "system":
            waiting.append(message["content"])
            continue
        if waiting and message["role"] == "user":
            text = "\n\n".join([*waiting, message["content"]])
            message, waiting = {**message, "content": text}, []
        shaped.append(message)
    if waiting:
        shaped.append({"role": "user", "content": "\n\n".join(waiting)})
    return shaped


def _alternating(messages: list[Message]) -> list[Message]:
    """User and assistant by turns, as templates want that check it."""
    shaped: list[Message] = []
    for message in messages:
        if shaped and shaped[-1]["role"] == message["role"]:
            texts = (shaped[-1]["content"], message["content"])
            shaped[-1] = {**shaped[-1], "content": "\n".join(text for text in texts if text)}
            continue
        begins = not shaped or (len(shaped) == 1 and shaped[0]["role"] == "system")
        if begins and message["role"] == "assistant":
            shaped.append({"role": "user", "content": "(The conversation goes on.)"})
        shaped.append(message)
    return shaped


def to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Jinja's own filter escapes for HTML; templates mean plain JSON."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
