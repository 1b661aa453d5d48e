"""What an engine is, seen from both sides of its pipe.

A *child engine* is plain blocking code in a process of its own (`voiced.engines.child`): it
may import what it likes and is handed one `Work` at a time per slot of `concurrency`. The
*ports* `Stt`, `Llm` and `Tts` are what the daemon talks to: streaming, asynchronous, and
cancelled by leaving their context.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import msgspec

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

PARTIALS = "partials"
"""Capability of an STT engine that answers what it has heard so far."""

EARLY = "early"
"""Capability of an STT engine whose result costs nothing where it was asked what it had heard and
only silence has come since: asking as a silence begins makes use of that silence."""

WORD_TIMES = "word_times"
"""Capability of an STT engine that tells when each word was said."""

PREFILL = "prefill"
"""Capability of an LLM engine that can compute a conversation before it is to answer."""

Kind = Literal["stt", "llm", "tts", "vad"]


ToolChoice = Literal["auto", "none", "required"] | Mapping[str, str]
"""Whether a reply may call tools, may not, must call one, or must call `{"name": …}`."""


class Priority(IntEnum):
    """Order of service; a lower number goes first and may displace a higher one."""

    CONVERSATION = 0
    SPECULATION = 1
    JOB = 2


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine declares once its model is loaded. `variants` are what may stand behind the
    name of any of its voices, as in `en-us+f3`."""

    kind: Kind
    name: str
    version: str
    model: str = ""
    languages: tuple[str, ...] = ("en",)
    capabilities: tuple[str, ...] = ()
    sample_rates: tuple[int, ...] = ()
    voices: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    context_tokens: int = 0
    """Of a language model: the longest conversation with its answer; 0 where nothing bounds it."""
    concurrency: int = 1


# -- the child's side ---------------------------------------------------------------------


class WorkCancelled(Exception):
    """Raised inside a child engine by `Work` when the parent has cancelled the request."""


class Work(Protocol):
    """One request as a child engine sees it. Used on the worker thread that runs it."""

    op: str
    params: Mapping[str, Any]

    @property
    def cancelled(self) -> bool:
        """True from the moment the parent's cancel was read."""
        ...

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Run `callback` on another thread when cancelled; at once where it already is."""
        ...

    def raise_if_cancelled(self) -> None:
        """Raise `WorkCancelled` once cancelled."""
        ...

    def emit(self, part: Mapping[str, Any]) -> None:
        """Send one streamed part to the parent. Raises `WorkCancelled` once cancelled.

        An empty one reaches nobody: it tells that the work goes on where it takes long to have
        anything to show, so that it is not taken for an engine that hangs.
        """
        ...

    @property
    def asked_anew(self) -> bool:
        """Whether a question waits among the chunks, behind the one that is being answered."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The audio streamed into this request, until its end. Raises `WorkCancelled`.

        An empty chunk is a question: what has been heard so far? An engine that declares the
        capability "partials" answers each with one part, or several with the answer to the newest
        of them, if it numbers its answers; others may ignore it.
        """
        ...


class ChildEngine(Protocol):
    """What a module under the entry-point group `voiced.engines` provides, as a class.

    The class is called with the engine's options, a plain dict (its settings section plus
    `state_directory` and `language`).
    """

    def load(self) -> EngineInfo:
        """Load model and data; raise `ModelError` naming file and cause where that fails."""
        ...

    def warm_up(self) -> None:
        """Run the engine once, so that the first real request is not the slow one."""
        ...

    def run(self, work: Work) -> Mapping[str, Any]:
        """Do the work, blocking; return the final result. Raise `WorkCancelled` when cancelled.

        transcribe: params `language`, `prompt`, `word_times` (whether the result should tell
            when each word was said; it may be missing); audio from `work.chunks()` (PCM16 mono
            16 kHz); parts `{"text"}` (all that was heard so far, "" for nothing that is worth
            believing) and, where known, `stable` (the words of it that no later part takes
            back), `sentence` (whether these words are one of the few sentences that the engine
            can hear) and `question` (see `Partial`), one for each empty chunk; parts
            `{"progress_s"}` at any time (so many seconds of the audio are done for good); result
            `{"text", "confidence", "duration_s"}` and, where known, `segments` and `words` (maps
            of `start`, `end` in seconds of this audio, `text`), `avg_logprob`,
            `no_speech_prob`, `language`.
        reply: params `messages` (OpenAI chat shape), `tools` (name, description, parameters),
            `max_output_tokens` or None, and, unless it is "auto", `tool_choice` (`ToolChoice`;
            an engine that cannot do as it says raises `ToolChoiceError`); parts `{"text"}` (a
            delta) or `{"tool_call": {"call_id", "name", "arguments"}}` (arguments is JSON text);
            result `{"finish": "stop" | "tool_calls" | "length", "input_tokens",
            "output_tokens"}` and, where it has names for what it understands, `intent`; of an
            engine that remembers, `cached_tokens`; of one with a bounded context,
            `dropped_messages`. The assistant also takes `only` and may answer `declined`
            (`UnderstandingLlm`).
        prefill: of engines with the capability "prefill": params `messages` and `tools` of a
            conversation in which the user speaks next, or is speaking: then the last message is
            what they have said so far; no parts; result `{"evaluated_tokens", "cached_tokens",
            "whole_tokens"}`.
        speak: params `text`, `voice`, `speed`; parts `{"pcm", "sample_rate"}` (PCM16 mono);
            result `{"duration_s"}`.
        """
        ...


# -- the daemon's side --------------------------------------------------------------------


class Timed(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a transcript, and when it was said: seconds from the start of the audio."""

    start: float
    end: float
    text: str
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The final word of an STT engine on one utterance. `text` is empty when it heard none."""

    text: str
    confidence: float = 1.0
    duration_s: float = 0.0
    segments: tuple[Timed, ...] = ()
    """Sentences or the like; none where the engine takes the audio as one."""
    words: tuple[Timed, ...] = ()
    """Of engines with the capability `word_times`."""
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    language: str = ""
    """Of engines that find it out: what was spoken."""


class Partial(msgspec.Struct, frozen=True, kw_only=True):
    """What an STT engine has heard so far of an utterance that goes on; later ones may differ.

    `text` is empty where nothing was heard that is worth believing. `sentence` is False where
    the engine is certain to be in the middle of one of the few sentences that it can hear, True
    at the end of one, and None where it does not know. `stable` grows at its end only: the words
    that may be shown, since no later answer takes them back. `question` is which of the questions
    of an utterance this answers, from 1 on, and with it all before; 0 where each has an answer.
    """

    text: str
    sentence: bool | None = None
    stable: str = ""
    question: int = 0


class TextDelta(msgspec.Struct, frozen=True):
    """More text of a reply."""

    text: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """The model asks for a tool; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


class ReplyEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The last thing of a reply: why it ended and what it cost."""

    finish: Literal["stop", "tool_calls", "length"]
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """Of the input: those that the engine still knew."""
    dropped_messages: int = 0
    """The oldest ones, which the model was not shown: there was no room for them."""
    intent: str | None = None
    """For the log: the name of what the engine took the user's words to mean, "" where they meant
    nothing to it, None where it does not know such names or was told no words."""
    declined: bool = False
    """It was to answer only what it understands, and has not answered."""


class PcmChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Signed 16-bit little-endian mono samples."""

    pcm: bytes
    sample_rate: int


ReplyPart = TextDelta | ToolCall | ReplyEnd


@runtime_checkable
class Promotable(Protocol):
    """A reply under way whose place in the order of service can be changed."""

    def promote(self, priority: Priority) -> None:
        """Serve it at this priority from now on. Never waits."""
        ...


def promote(reply: object, priority: Priority) -> None:
    """Serve a reply at this priority from now on, where it is one that has any."""
    if isinstance(reply, Promotable):
        reply.promote(priority)


class Utterance(Protocol):
    """One utterance being transcribed, fed while the person still speaks."""

    async def feed(self, pcm: bytes) -> None:
        """Add PCM16 mono at 16 kHz. Never waits for the engine: kept when it is not free."""
        ...

    @property
    def partial(self) -> Partial | None:
        """The newest answer to `ask`; None before the first."""
        ...

    def ask(self) -> bool:
        """Ask what was heard of the audio fed so far. Never waits; False where no answer will
        come: the engine gives no partials, or is busy with others."""
        ...

    async def answer(self) -> Partial | None:
        """Wait for the answer to the last `ask`; None where there will be none after all."""
        ...

    async def finish(self) -> Transcript:
        """The utterance is over: raise its priority to conversation and wait for the text.

        Raises `EngineError`. Where an earlier, low-priority run was displaced or crashed, the
        whole utterance is run again from the audio kept here.
        """
        ...


class Stt(Protocol):
    """Speech to text."""

    @property
    def info(self) -> EngineInfo: ...

    def transcribe(
        self,
        *,
        language: str,
        prompt: str = "",
        word_times: bool = False,
        priority: Priority = Priority.SPECULATION,
    ) -> AbstractAsyncContextManager[Utterance]:
        """Open an utterance; leaving the context cancels what is still running. Without
        `word_times` an engine may spare itself `Transcript.words`."""
        ...


class Llm(Protocol):
    """What answers: a language model, or the built-in assistant."""

    @property
    def info(self) -> EngineInfo: ...

    def reply(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: ToolChoice = "auto",
        max_output_tokens: int | None = None,
        priority: Priority = Priority.CONVERSATION,
    ) -> AbstractAsyncContextManager[AsyncIterator[ReplyPart]]:
        """Stream a reply that ends with one `ReplyEnd`; leaving the context cancels it.

        `tools` have `name`, `description` and `parameters`, a JSON schema. Tokens of an engine
        without a tokenizer are words, split at white space.
        """
        ...


@runtime_checkable
class Reader(Protocol):
    """An `Llm` that may be able to read ahead: it says so by the capability "prefill"."""

    async def prefill(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        priority: Priority = Priority.SPECULATION,
    ) -> int:
        """Read a conversation in which the user speaks next, so that the answer begins sooner.
        Where the last message is theirs, they may speak on behind it.

        Returns how many tokens the whole of it is, also of what there was no room for. Raises
        `EngineError`. What was read when it is cancelled, or displaced by a conversation, need not
        be read again.
        """
        ...


class Tts(Protocol):
    """Text to speech."""

    @property
    def info(self) -> EngineInfo: ...

    def speak(
        self,
        text: str,
        *,
        voice: str = "",
        speed: float = 1.0,
        priority: Priority = Priority.CONVERSATION,
    ) -> AbstractAsyncContextManager[AsyncIterator[PcmChunk]]:
        """Stream the speech of `text`; leaving the context cancels it."""
        ...
