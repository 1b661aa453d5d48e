"""One response at work: language model, tools, clauses and voice.

Each part is a task in the nursery of the response; leaving its scope stops the engines too.
Nothing here touches the conversation: every result goes in through `apply`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import structlog
import trio

from voiced.audio.formats import PCM, wire_format
from voiced.audio.resample import StreamResampler
from voiced.conversation import inputs as inp
from voiced.conversation.tooling import ChosenFunction
from voiced.engines.ports import Llm, Tts
from voiced.engines.tts.spoken import SpokenText
from voiced.engines.tts.text import ClauseSplitter
from voiced.engines.tts.voices import Voices
from voiced.errors import EngineError, EngineUnavailable, NoAnswer, ProviderFailed
from voiced.realtime.pacer import Pacer
from voiced.realtime.preparation import PreparedLlm
from voiced.thermal.heat import Heat
from voiced.thermal.level import Level
from voiced.tools.rounds import Answered, Question, converse
from voiced.tools.toolbox import Toolbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voiced.conversation.effects import Generate, ResponseOptions
    from voiced.engines.ports import ToolCall, ToolChoice
    from voiced.realtime.preparation import Preparation
    from voiced.tools.toolbox import ToolContext

log = structlog.get_logger(__name__)

CLAUSES_AHEAD = 8
"""Clauses of text that may wait for the voice; further text waits, joined, with the engine."""

NO_VOICE = (EngineUnavailable, ProviderFailed)
"""Failures of a voice that is not there. One that crashes or misbehaves fails the reply."""

BRIEFLY = "Answer this in one or two short sentences."
"""What a model is told while it is hot: it stops by itself, well before the bound."""

SYNTHESIS_AHEAD_MS = 2_000
"""The next clause is synthesised when less audio than this waits to be sent: early enough for
a slow voice, late enough that an interruption wastes little."""


class Speaker(msgspec.Struct, frozen=True):
    """The engines and settings that a reply uses."""

    llm: Llm
    tts: Tts
    toolbox: Toolbox
    voices: Voices
    lead_ms: float
    heat: Heat = msgspec.field(default_factory=Heat)
    hot_tokens: int = 160
    """How much a spoken reply may be at most that begins while it is hot."""
    apology: str = "Sorry, I cannot answer that at the moment."


class Reply:
    """Runs one `Generate`; `run` returns when the reply is complete, or raises `EngineError`."""

    def __init__(
        self,
        generate: Generate,
        speaker: Speaker,
        context: ToolContext,
        apply: Callable[[inp.Input], None],
        began: float,
        preparation: Preparation | None = None,
    ) -> None:
        """`preparation` has asked the very same already; it is dropped with the reply."""
        self._generate = generate
        self._llm: Llm = speaker.llm
        if preparation is not None:
            self._llm = PreparedLlm(speaker.llm, preparation)
        self._speaker = speaker
        self._context = context
        self._apply = apply
        self._began = began
        self._end = Answered(finish="stop")
        self._silent = True
        self._unsaid: list[ToolCall] = []
        self._missing: dict[str, str] = {}
        self._form = wire_format(generate.options.format)
        self._pacer = Pacer(speaker.lead_ms, self._form)
        self.is_shortened = False
        """Whether the model was asked to be brief, for the heat."""
        self.timing_ms: dict[str, float] = {}

    async def run(self) -> None:
        """Produce the reply and report its end. Cancelling stops every engine it uses."""
        if self._generate.options.modality == "text":
            await self._converse(self._show)
        else:
            send, receive = trio.open_memory_channel[str](CLAUSES_AHEAD)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, send)
                nursery.start_soon(self._speak, receive)
                nursery.start_soon(self._send)
        self._say_calls()
        if dropped := self._end.dropped_messages:
            log.warning("context is full: the oldest messages were not shown", messages=dropped)
        self._apply(
            inp.ReplyEnded(
                response_id=self._generate.response_id,
                finish="length" if self._end.finish == "length" else "stop",
                input_tokens=self._end.input_tokens,
                output_tokens=self._end.output_tokens,
                cached_tokens=self._end.cached_tokens,
                context_tokens=self._end.context_tokens,
                timing_ms=self.timing_ms,
                own=tuple(dict(message) for message in self._end.own),
                missing=dict(self._missing),
            )
        )

    def pause(self) -> None:
        """Send no audio until `resume`; text and speech go on to be made, within their bounds."""
        self._pacer.pause()

    def resume(self) -> None:
        """Go on where it was paused."""
        self._pacer.resume()

    # -- text ------------------------------------------------------------------------------

    async def _show(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        """Pass on text, and the calls that were to come behind it."""
        self._apply(inp.ReplyText(response_id=self._generate.response_id, text=text))
        self._say_calls()

    def _call(self, call: ToolCall) -> None:
        """Pass on a call of a function; the message of the reply, if any, is to be its first
        output, and its first clause may still be on its way to the voice."""
        self._unsaid.append(call)
        if self._silent or self._generate.options.modality == "text":
            self._say_calls()

    def _say_calls(self) -> None:
        calls, self._unsaid = self._unsaid, []
        for call in calls:
            self._apply(
                inp.ReplyCall(
                    response_id=self._generate.response_id,
                    call_id=call.call_id,
                    name=call.name,
                    arguments=call.arguments,
                )
            )

    async def _write(self, clauses: trio.MemorySendChannel[str]) -> None:
        splitter = ClauseSplitter()

        async def split(text: str) -> None:
            for clause in splitter.feed(text):
                await clauses.send(clause)

        async with clauses:
            await self._converse(split)
            for clause in splitter.flush():
                await clauses.send(clause)

    async def _converse(self, sink: Callable[[str], Awaitable[None]]) -> None:
        """Pass text deltas to `sink`, through as many tool rounds as it takes."""
        if self._generate.say is not None:
            await sink(self._generate.say)
            return
        asked = trio.current_time()
        options = self._generate.options

        async def pass_on(text: str) -> None:
            self._mark("llm_first_text", asked)
            self._silent = False
            await sink(text)

        try:
            self._end = await self._ask(pass_on)
        except (EngineUnavailable, NoAnswer) as error:
            # Somebody who listens is told; a program that reads gets the failure itself.
            if options.modality == "text" or not self._silent or options.tool_choice != "auto":
                raise
            self._do_without("llm", error)
            await sink(self._speaker.apology)

    async def _ask(self, pass_on: Callable[[str], Awaitable[None]]) -> Answered:
        options = self._generate.options
        question = question_of(self._generate.messages, options)
        # What was begun in advance is the answer to the question as it is.
        if self._speaker.heat.level >= Level.HOT and self._llm is self._speaker.llm:
            whole, question = question, shortened(question, options, self._speaker.hot_tokens)
            self.is_shortened = question is not whole
        return await converse(
            self._llm,
            self._speaker.toolbox,
            question,
            self._context,
            pass_on,
            self._call,
        )

    # -- voice -----------------------------------------------------------------------------

    async def _speak(self, clauses: trio.MemoryReceiveChannel[str]) -> None:
        options = self._generate.options
        voice = self._voice()
        spoken = SpokenText(voice, self._context.language)
        span = 0
        async with clauses:
            async for clause in clauses:
                await self._pacer.wait_below(SYNTHESIS_AHEAD_MS)
                self._say(clause)
                heard = spoken.clause(clause)
                if heard and "tts" not in self._missing:
                    try:
                        await self._synthesise(span, heard, voice, options.speed)
                    except NO_VOICE as error:
                        # What nobody asked for is told where it is heard; a voice that breaks
                        # off fails the reply, or its client took half of it for all.
                        if self._generate.say is not None or "tts_first_audio" in self.timing_ms:
                            raise
                        self._do_without("tts", error)
                span += 1
        self._pacer.finish()

    def _voice(self) -> str:
        """The engine's name of the voice; of an engine that has never been ready none is known."""
        try:
            return self._speaker.voices.resolve(self._generate.options.voice)
        except EngineUnavailable as error:
            self._do_without("tts", error)
            return ""

    def _do_without(self, kind: str, error: EngineError) -> None:
        """An engine failed, and the reply goes on without: told in the log and to the client."""
        self._missing[kind] = error.code
        log.warning(
            "reply goes on without an engine",
            response=self._generate.response_id,
            kind=kind,
            code=error.code,
            reason=str(error),
        )

    async def _synthesise(self, span: int, text: str, voice: str, speed: float) -> None:
        asked = trio.current_time()
        resampler: StreamResampler | None = None
        async with self._speaker.tts.speak(text, voice=voice, speed=speed) as chunks:
            async for chunk in chunks:
                self._mark("tts_first_audio", asked)
                if resampler is None or resampler.from_hz != chunk.sample_rate:
                    resampler = StreamResampler(chunk.sample_rate, self._form.rate_hz)
                self._put(span, resampler.resample(chunk.pcm))
        if resampler is not None:
            self._put(span, resampler.flush())

    def _put(self, span: int, pcm: bytes) -> None:
        audio = pcm if self._form is PCM else self._form.encode(np.frombuffer(pcm, "<i2"))
        self._pacer.put(span, audio)

    async def _send(self) -> None:
        async for span, audio in self._pacer:
            if "total" not in self.timing_ms:
                self._mark("total", self._began)
            self._apply(
                inp.ReplyAudio(
                    response_id=self._generate.response_id,
                    span=span,
                    audio=audio,
                    duration_ms=self._form.duration_ms(len(audio)),
                    clause_ms=self._pacer.clause_ms(span),
                )
            )

    def _mark(self, stage: str, since: float) -> None:
        if stage not in self.timing_ms:
            self.timing_ms[stage] = round((trio.current_time() - since) * 1000, 2)


def question_of(messages: tuple[dict[str, Any], ...], options: ResponseOptions) -> Question:
    """What the model is asked."""
    return Question(
        messages=messages,
        tools=functions(options),
        tool_choice=choice_of(options),
        max_output_tokens=options.max_output_tokens,
        parallel_tool_calls=options.parallel_tool_calls,
        remembers=True,
    )


def shortened(question: Question, options: ResponseOptions, tokens: int) -> Question:
    """The same question, where it is answered aloud, for an answer that heats less.

    What asks for that stands at the end, so that a model still knows all in front of it. A program
    that reads gets what it asked for, and what no user asked (a silence) is short as it is.
    """
    last = question.messages[-1] if question.messages else {}
    if options.modality == "text" or last.get("role") != "user":
        return question
    asked = question.max_output_tokens
    return msgspec.structs.replace(
        question,
        messages=(*question.messages, {"role": "system", "content": BRIEFLY}),
        max_output_tokens=tokens if asked is None else min(asked, tokens),
    )


def functions(options: ResponseOptions) -> tuple[dict[str, Any], ...]:
    """The client's functions as a model is told of them."""
    return tuple(
        {
            "name": tool.name,
            "description": tool.description or "",
            "parameters": tool.parameters or {"type": "object", "properties": {}},
        }
        for tool in options.tools
    )


def choice_of(options: ResponseOptions) -> ToolChoice:
    """The tool choice as engines take it."""
    choice = options.tool_choice
    return {"name": choice.name} if isinstance(choice, ChosenFunction) else choice
