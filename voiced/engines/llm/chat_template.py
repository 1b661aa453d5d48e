"""A conversation as the text that a model was trained on, by the Jinja template of its file.

Templates are programs that strangers wrote: they run in Jinja's sandbox, as at Hugging Face and in
llama.cpp. They differ in what they accept, so a conversation that one refuses is offered again in
plainer forms: `Plainness`.

What the caller says never becomes a control token: see `Template.clean`.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voiced.errors import EngineFailed, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import nodes
    from jinja2.parser import Parser

Message = dict[str, Any]

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""
"""For a model without a template: the form that most of them understand."""

CUT = "\x02cut\x03"
"""Stands for what is still to be said, where a prompt is rendered only up to there."""

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


REFUSALS = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)
"""How templates fail: by saying so, and by what they do to values that they did not foresee."""


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


class _Generation(Extension):
    """`{% generation %}`, which marks what a model is trained on, means nothing here."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 declares it

    def parse(self, parser: Parser) -> list[nodes.Node]:
        parser.stream.skip(1)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Template:
    """One model's chat template. `controls` are the texts of its control tokens."""

    def __init__(
        self, source: str, *, bos: str = "", eos: str = "", controls: Iterable[str] = ()
    ) -> None:
        """Raises `ModelError` for a template that is no Jinja, or that can render nothing."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _now
        self.source = source
        self._tokens = {"bos_token": bos, "eos_token": eos}
        long_enough = sorted({c for c in controls if len(c) > 2}, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, long_enough))) if long_enough else None
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as exc:
            raise ModelError(f"its chat template cannot be read: {exc}") from exc
        self.knows_tools = bool(re.search(r"\btools\b", source))
        self.render([{"role": "user", "content": "hello"}])

    def clean(self, text: str) -> str:
        """`text` without what would be read as control tokens: nobody may speak as the system."""
        while self._controls is not None:
            shorter = self._controls.sub("", text)
            if shorter == text:
                break
            text = shorter
        return text

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        answer: bool = True,
    ) -> str:
        """The prompt. With `answer`, it ends where the assistant is to begin.

        `messages` are in the OpenAI chat shape, `tools` have name, description and parameters.
        Raises `EngineFailed` where the template refuses the conversation in every form.
        """
        offered = [{"type": "function", "function": dict(tool)} for tool in tools]
        clean = [self._clean_message(message) for message in messages]
        cause: Exception | None = None
        for plainness in Plainness:
            try:
                shaped = reshape(clean, offered, plainness, knows_tools=self.knows_tools)
                text = self._template.render(
                    messages=shaped,
                    tools=offered if offered and self._tells_tools(plainness) else None,
                    add_generation_prompt=answer,
                    enable_thinking=False,
                    reasoning_effort="low",
                    **self._tokens,
                )
                if any(m["role"] == "system" and m["content"].strip() not in text for m in shaped):
                    raise ValueError("it leaves out what the system says")
            except REFUSALS as exc:
                cause = cause or exc
                continue
            return text
        raise EngineFailed(
            f"the model's chat template refuses the conversation: {cause}",
            public="the model's chat template refuses this conversation",
        ) from cause

    def _tells_tools(self, plainness: Plainness) -> bool:
        return self.knows_tools and plainness < Plainness.NO_TOOL_ROLES

    def _clean_message(self, message: Mapping[str, Any]) -> Message:
        clean: Message = {"role": message.get("role"), "content": self.clean(text_of(message))}
        calls = message.get("tool_calls")
        if calls:
            clean["tool_calls"] = [self._clean_call(call) for call in calls]
        for key in ("tool_call_id", "name"):
            if message.get(key):
                clean[key] = self.clean(str(message[key]))
        return clean

    def _clean_call(self, call: Mapping[str, Any]) -> Message:
        function = call.get("function") or {}
        return {
            "id": self.clean(str(call.get("id", ""))),
            "type": "function",
            "function": {
                "name": self.clean(str(function.get("name", ""))),
                "arguments": self.clean(str(function.get("arguments", "{}"))),
            },
        }


def text_of(message: Mapping[str, Any]) -> str:
    """The text of a message, whose content is a string, a list of parts, or nothing."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in content if isinstance(part, dict))
    return " ".join(text for text in parts if isinstance(text, str))


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
    text = OFFER.format(tools="\n".join(_to_json(tool) for tool in offered))
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


def _to_json(
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


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
