"""Language models in GGUF files, by llama.cpp: streamed, with tools, stopped at once.

What makes it quick is what it does not compute. The prompt is put together so that it grows at its
end, and the context keeps the tokens of the last conversations: of a prompt only what is new is
computed (`PrefixCache`). What changes by itself, the time, stands with the user's last words.
`prefill` computes a conversation up to where the user will speak on, while nobody waits for it.

A cancel sets a flag that llama.cpp looks at between two nodes of its graph, within a prompt too.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.engines.llm.answer_text import AnswerText
from voiced.engines.llm.channels import CHANNEL_MARKS, Channels, writes_on_channels
from voiced.engines.llm.chat_template import CHATML, CHATML_STOPS, Template
from voiced.engines.llm.llama_library import (
    PACKAGE,
    Aborted,
    LlamaContext,
    LlamaShape,
    open_library,
)
from voiced.engines.llm.llama_options import LlamaOptions
from voiced.engines.llm.llama_sampler import Sampler, Sampling, call_grammar
from voiced.engines.llm.prompt import Dialect, Prompt, Prompter, dialect_of
from voiced.engines.llm.repetition import Repetition
from voiced.engines.llm.sequences import Sequences
from voiced.engines.llm.thoughts import thought_begun
from voiced.engines.llm.tool_calls import MARKS, THOUGHT, Marks
from voiced.engines.memory import free_memory
from voiced.engines.ports import PREFILL, EngineInfo, Work
from voiced.engines.pulse import Pulse
from voiced.errors import EngineFailed, ModelError, ToolChoiceError
from voiced.models.gguf import GgufFile, read_gguf
from voiced.models.naming import find_model
from voiced.models.need import llama_need, usable_context

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HELLO = {"role": "user", "content": "hello"}
"""What the model is warmed up with."""

HELD_MARKS = (
    *(mark for marks in (*MARKS, *THOUGHT) for mark in (marks.begin, marks.end) if mark),
    *("[ARGS]", "[CALL_ID]"),
)
"""Texts of control tokens that mean something here; all others are never seen."""


class LlamaEngine:
    """`ChildEngine` of kind llm. `llm.model` names a model of the models directory, or is the path
    of a file; where it is empty, the only one there is taken."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = msgspec.convert(dict(options), LlamaOptions)
        self._sampling = msgspec.convert(dict(options), Sampling)
        self._context: LlamaContext
        self._sequences: Sequences
        self._template: Template
        self._prompter: Prompter
        self._library: Any = None
        self._dialect = Dialect(opening="", key="arguments")
        self._shown: frozenset[int] = frozenset()

    # -- loading

    def load(self) -> EngineInfo:
        """Raises `ModelError`: no such file, damaged, another kind, too large, no library."""
        file = read_gguf(
            find_model(Path(self._options.models_directory), "llama", self._options.model)
        )
        shape = self._shape(file)
        llama_need(file, shape.context, shape.sequences).check(free_memory())
        self._library = open_library()
        self._context = LlamaContext(self._library, file.path, shape)
        self._sequences = Sequences(self._context)
        vocabulary = self._context.vocabulary
        self._template = self._read_template(file)
        self._dialect = dialect_of(self._template)
        self._prompter = Prompter(
            self._template, vocabulary.tokens, shape.context, tell_time=self._options.tell_time
        )
        on_channels = writes_on_channels(self._template.source)
        held = (*HELD_MARKS, *(CHANNEL_MARKS if on_channels else ()))
        self._shown = frozenset(
            token
            for token, text in vocabulary.controls.items()
            if any(mark in text for mark in held)
        )
        return EngineInfo(
            kind="llm",
            name="llama",
            version=version(PACKAGE),
            model=str(file.values.get("general.name") or file.path.stem),
            languages=tuple(map(str, file.values.get("general.languages") or ("en",))),
            capabilities=("tools", PREFILL),
            context_tokens=shape.context,
        )

    def _shape(self, file: GgufFile) -> LlamaShape:
        context = usable_context(file, self._options.context)
        return LlamaShape(
            context=context,
            sequences=self._options.conversations,
            batch=min(self._options.batch, context),
            threads=self._options.threads,
            threads_batch=self._options.threads_batch or len(os.sched_getaffinity(0)),
        )

    def _read_template(self, file: GgufFile) -> Template:
        source = str(file.values.get("tokenizer.chat_template") or CHATML)
        where = str(file.path)
        if self._options.chat_template:
            where = self._options.chat_template
            try:
                source = Path(where).expanduser().read_text("utf-8")
            except (OSError, UnicodeDecodeError) as exc:
                raise ModelError(f"llm.chat_template: cannot read {where}: {exc}") from exc
        vocabulary = self._context.vocabulary
        try:
            return Template(
                source,
                bos=vocabulary.bos,
                eos=vocabulary.eos,
                controls=vocabulary.controls.values(),
            )
        except (ModelError, EngineFailed) as exc:
            raise ModelError(
                f"{where}: {exc}; name another by llm.chat_template, a file with Jinja"
            ) from exc

    def warm_up(self) -> None:
        """Compute a batch and a token: the first run allocates."""
        tokens = self._context.vocabulary.tokens(self._template.render([HELLO]))
        shape = self._context.shape
        first = tokens[: min(shape.batch, shape.context - 1)]
        self._context.decode(0, first, 0)
        self._context.decode(0, tokens[-1:], len(first))
        self._context.truncate(0, 0)

    def close(self) -> None:
        """Give the model's memory back; a process that ends need not."""
        self._context.close()

    def prompt_text(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        """What the model would be given, for people to look at. Raises as a reply does."""
        return self._prompter.fit(messages, tools, None).text

    def count_tokens(self, messages: Sequence[Mapping[str, Any]]) -> int:
        """How many tokens the model would be given. Raises as a reply does."""
        return len(self._prompter.fit(messages, (), None).tokens)

    @property
    def evaluated(self) -> int:
        """Tokens of prompts and answers that were computed so far."""
        return self._context.evaluated

    # -- requests

    def run(self, work: Work) -> Mapping[str, Any]:
        """`reply` as `ChildEngine.run` describes it, and `prefill`, which has the same messages
        and tools, emits nothing and results in `evaluated_tokens`, `cached_tokens`, and
        `whole_tokens`, what there was no room for included."""
        self._context.go()
        work.on_cancel(self._context.stop)
        try:
            if work.op == "prefill":
                return self._prefill(work)
            return self._reply(work)
        except Aborted as exc:
            work.raise_if_cancelled()
            raise EngineFailed("llama.cpp stopped by itself") from exc

    def _prefill(self, work: Work) -> dict[str, Any]:
        messages = work.params.get("messages") or ()
        if not self._context.copies and messages and messages[-1].get("role") == "user":
            # Words that turn out otherwise could not be taken back, but for all in front of them.
            messages = messages[:-1]
        prompt = self._prompter.fit(messages, self._tools(work), None, until_user=True)
        _, evaluated = self._sequences.compute(prompt.tokens, Pulse(work).beat)
        return {
            "evaluated_tokens": evaluated,
            "cached_tokens": len(prompt.tokens) - evaluated,
            "whole_tokens": prompt.whole,
        }

    def _reply(self, work: Work) -> dict[str, Any]:
        choice = work.params.get("tool_choice", "auto")
        tools = self._tools(work)
        asked = work.params.get("max_output_tokens")
        forced = choice not in ("auto", "none")
        # What begins a call for the model needs room, too.
        reserve = None if forced else asked
        prompt = self._prompter.fit(work.params.get("messages") or (), tools, reserve)
        sampler = Sampler(self._library, self._context, self._sampling)
        try:
            tokens, answer = list(prompt.tokens), self._answer(prompt, tools)
            if forced:
                if not tools:
                    raise ToolChoiceError("There is no function to call.")
                tokens = self._force(prompt, tools, sampler)
                answer = AnswerText((), {tool["name"] for tool in tools}, opened=Marks("", ""))
            sequence, evaluated = self._sequences.compute(tokens, Pulse(work).beat)
            room = self._context.shape.context - len(tokens)
            limit = room if asked is None else min(asked, room)
            finish, written = self._write(work, sampler, sequence, answer, limit)
        finally:
            sampler.close()
        return {
            "finish": finish,
            "input_tokens": len(tokens),
            "output_tokens": written,
            "cached_tokens": len(tokens) - evaluated,
            "dropped_messages": prompt.dropped,
        }

    def _answer(self, prompt: Prompt, tools: Sequence[Mapping[str, Any]]) -> AnswerText:
        names = {tool["name"] for tool in tools}
        channels = Channels(names) if writes_on_channels(self._template.source) else None
        thinking = thought_begun(prompt.text)
        stops = (*self._options.stop, *(CHATML_STOPS if self._template.source == CHATML else ()))
        return AnswerText(stops, names, thinking=thinking, channels=channels)

    def _write(
        self, work: Work, sampler: Sampler, sequence: int, answer: AnswerText, limit: int
    ) -> tuple[str, int]:
        """Write the answer token by token; why it ended, and how many there were."""
        vocabulary, told, pulse = self._context.vocabulary, 0, Pulse(work)
        finish, written, repetition = "length", 0, Repetition()
        while written < limit:
            work.raise_if_cancelled()
            pulse.beat()
            token = sampler.choose()
            if vocabulary.ends(token):
                finish = "stop"
                break
            written += 1
            if text := answer.feed(vocabulary.piece(token, control=token in self._shown)):
                work.emit({"text": text})
            told = self._tell_calls(work, answer, told)
            if answer.stopped:
                finish = "stop"
                break
            # What goes round in a call is perhaps meant so, and nobody has to listen to it.
            if repetition.goes_on(token) and not answer.calling:
                print("<6>an answer was ended: the same came again and again", file=sys.stderr)
                finish = "stop"
                break
            if written < limit:
                self._sequences.append(sequence, token)
        if text := answer.finish():
            work.emit({"text": text})
        told = self._tell_calls(work, answer, told)
        if answer.broken and finish == "stop" and not answer.calls:
            raise EngineFailed(
                f"the model's call of a function cannot be read: {answer.broken}",
                public="the model's call of a function cannot be read",
            )
        return "tool_calls" if told and finish == "stop" else finish, written

    def _tell_calls(self, work: Work, answer: AnswerText, told: int) -> int:
        for call in answer.calls[told:]:
            told_call = {
                "call_id": f"call_{os.urandom(8).hex()}",
                "name": call.name,
                "arguments": json.dumps(call.arguments, ensure_ascii=False),
            }
            work.emit({"tool_call": told_call})
        return len(answer.calls)

    def _force(
        self, prompt: Prompt, tools: Sequence[Mapping[str, Any]], sampler: Sampler
    ) -> list[int]:
        """Begin the call for the model and bind it by a grammar; the prompt with that beginning."""
        opening = self._dialect.opening
        if (thought := thought_begun(prompt.text)) is not None:
            opening = f"\n{thought.end}\n\n{opening}"
        if not any(sampler.constrain(g) for g in call_grammar(tools, self._dialect.key)):
            raise ToolChoiceError("The parameters of that function cannot be made a grammar.")
        return self._context.vocabulary.tokens(prompt.text + opening)

    def _tools(self, work: Work) -> Sequence[Mapping[str, Any]]:
        if work.params.get("tool_choice") == "none":
            return ()
        return work.params.get("tools") or ()
