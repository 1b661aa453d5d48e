"""A whole turn, from the end of speech to the first sound of the answer, against the naive use of
the same models.

Ours is what the daemon does, with the engines in their processes: the speech is there already,
since it was streamed; the conversation so far was read while the user spoke; the reply is spoken
from its first clause on. The naive user transcribes when all is said, gives the model a prompt with
a clock at its head, waits for the sentence and has it spoken. Not in it are the silence that ends a
turn, the same for both, and what ours gains by asking Whisper as that begins (`stt.speculate`).

Models of random weights say nothing, so both are given the same work: the same speech, the same
conversation, so many tokens of a reply, and then its words.
"""

from __future__ import annotations

import re
from itertools import count, pairwise
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.engines_llm import HISTORY_TOKENS, clocked, read_ahead, recall, reply
from voiced.bench.engines_stt import lasting
from voiced.bench.engines_tts import SENTENCE, first_clause, first_sound
from voiced.bench.hosts import llama_spec, open_host, piper_spec, whisper_spec
from voiced.bench.naive import Asked
from voiced.bench.pairs import SETTLE_S, WHOLE, Comparison, compare
from voiced.bench.rival import open_rival
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority
from voiced.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voiced.bench.engines import Effort
    from voiced.bench.engines_llm import Messages
    from voiced.bench.hosts import Models
    from voiced.bench.rival import Rival
    from voiced.engines.host import EngineHost

GOALS: Final = {"tiny": 10.0, "base": 7.0}
"""How many times sooner the first sound should come, by what the name of the model has in it."""

STAGES: Final = ("stt", "llm", "tts")
SPEECH_S: Final = 3

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
"""What is a token in a vocabulary of true size, mostly: a word, a mark."""


class TurnSetting(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides are given."""

    speech_s: int
    history_tokens: int
    clause: str
    clause_tokens: int
    sentence: str
    sentence_tokens: int


class WholeTurnReport(msgspec.Struct, frozen=True, kw_only=True):
    """Turns with these models. `heard` and `heard_naively` are what the sides understood last:
    where they differ, so does the work that follows."""

    whisper: str
    llama: str
    piper: str
    setting: TurnSetting
    comparison: Comparison
    heard: str
    heard_naively: str

    @property
    def missed(self) -> list[str]:
        """The goal, where it was missed."""
        missed = self.comparison.missed
        return [f"{self.whisper}, {missed}"] if missed else []


async def measure_whole_turns(
    models: Models,
    pcm: bytes,
    effort: Effort,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[WholeTurnReport]:
    """Turns with each Whisper model there is, and the first of the other models. `pcm` is speech,
    PCM16 mono at 16 kHz; no cancels are made. Raises `UsageError` where a model is missing, and
    `EngineError`."""
    for kind in ("whisper", "llama", "piper"):
        if not getattr(models, kind):
            raise UsageError(f"{models.directory} holds no {kind} model, which a turn needs")
    speech = lasting(pcm, SPEECH_S)
    return [await _measure(models, folder, speech, effort, tell) for folder in models.whisper]


async def _measure(
    models: Models, whisper: Path, speech: bytes, effort: Effort, tell: Callable[[str], None]
) -> WholeTurnReport:
    llama, piper = models.llama[0], models.piper[0]
    tell(f"{whisper.name}: loading")
    async with (
        open_host(whisper_spec(models, whisper, effort.threads)) as stt,
        open_host(llama_spec(models, llama, effort.threads)) as llm,
        open_host(piper_spec(models, piper, effort.threads)) as tts,
        open_rival(
            threads=effort.threads, whisper=str(whisper), llama=str(llama), piper=str(piper)
        ) as rival,
    ):
        history = await recall(llm, HISTORY_TOKENS)
        clause = first_clause(SENTENCE)
        setting = TurnSetting(
            speech_s=SPEECH_S,
            history_tokens=await read_ahead(llm, history),
            clause=clause,
            clause_tokens=count_tokens(clause),
            sentence=SENTENCE,
            sentence_tokens=count_tokens(SENTENCE),
        )
        tuned = _Tuned(stt, llm, tts, history, speech, setting)
        naive = _Naive(rival, history, speech, setting)
        comparison = await compare(
            "end of speech to first sound",
            tuned.turn,
            naive.turn,
            pairs=effort.pairs,
            goal=next((goal for name, goal in GOALS.items() if name in whisper.name), None),
            tell=lambda doing: tell(f"{whisper.name}: {doing}"),
        )
    return WholeTurnReport(
        whisper=whisper.name,
        llama=llama.stem,
        piper=piper.stem,
        setting=setting,
        comparison=comparison,
        heard=tuned.heard,
        heard_naively=naive.heard,
    )


def count_tokens(text: str) -> int:
    """About as many as a vocabulary of true size would have; that of a random model does not."""
    return len(_TOKEN.findall(text))


class _Tuned:
    def __init__(
        self,
        stt: EngineHost,
        llm: EngineHost,
        tts: EngineHost,
        history: Messages,
        speech: bytes,
        setting: TurnSetting,
    ) -> None:
        self._stt, self._llm, self._tts = stt, llm, tts
        self._history = history
        self._speech = speech
        self._setting = setting
        self.heard = ""

    async def turn(self) -> dict[str, float]:
        marks = []
        async with EngineStt(self._stt).transcribe(
            language="en", priority=Priority.CONVERSATION
        ) as utterance:
            # While the user speaks: the audio is streamed, and what was said before is read.
            await utterance.feed(self._speech)
            await read_ahead(self._llm, self._history)
            await trio.sleep(SETTLE_S)
            marks.append(trio.current_time())
            self.heard = (await utterance.finish()).text
        marks.append(trio.current_time())
        question = {"role": "user", "content": self.heard}
        await reply(self._llm, [*self._history, question], self._setting.clause_tokens)
        marks.append(trio.current_time())
        await first_sound(self._tts, self._setting.clause)
        marks.append(trio.current_time())
        took = [(later - earlier) * 1000 for earlier, later in pairwise(marks)]
        return {**dict(zip(STAGES, took, strict=True)), WHOLE: sum(took)}


class _Naive:
    def __init__(
        self, rival: Rival, history: Messages, speech: bytes, setting: TurnSetting
    ) -> None:
        self._rival = rival
        self._history = history
        self._speech = speech
        self._setting = setting
        self._numbers = count(1)
        self.heard = ""

    async def turn(self) -> dict[str, float]:
        spent = await self._rival.ask(
            Asked(
                op="turn",
                pcm=self._speech,
                messages=clocked(self._history, next(self._numbers)),
                tokens=self._setting.sentence_tokens,
                text=self._setting.sentence,
            )
        )
        self.heard = spent.heard
        return spent.ms
