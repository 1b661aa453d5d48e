"""A conversation as the text that a model was trained on, by the Jinja template of its file.

Templates are programs that strangers wrote: they run in Jinja's sandbox, as at Hugging Face and in
llama.cpp. They differ in what they accept, so a conversation that one refuses is offered again in
plainer forms: `Plainness`.

What the caller says never becomes a control token: see `Template.clean`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from voiced.engines.llm.plainness import Message, Plainness, reshape, to_json
from voiced.errors import EngineFailed, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import nodes
    from jinja2.parser import Parser

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""
"""For a model without a template: the form that most of them understand."""

CHATML_STOPS = ("<|im_end|>", "<|im_start|>")
"""How such a model ends its turn, where these are no tokens of its own but text."""

CUT = "\x02cut\x03"
"""Stands for what is still to be said, where a prompt is rendered only up to there."""

REFUSALS = (
    *(jinja2.TemplateError, TypeError, ValueError, LookupError, AttributeError),
    *(ArithmeticError, RecursionError, MemoryError),
)
"""How templates fail: by saying so, and by what they do to values that they did not foresee."""


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
        environment.filters["tojson"] = to_json
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
        offered = [
            {"type": "function", "function": self._clean_value(dict(tool))} for tool in tools
        ]
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

    def _clean_value(self, value: object) -> object:
        """Descriptions of functions are a client's, too, or another server's."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, dict):
            return {self.clean(str(key)): self._clean_value(item) for key, item in value.items()}
        return [self._clean_value(item) for item in value] if isinstance(value, list) else value

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


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)
