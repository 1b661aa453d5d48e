"""A whole turn by the engines alone, one after the other, against the naive use of the same models.

What of the gain is the engines' own. Ours run in their processes without the daemon: the speech is
there already, since it is streamed; the conversation so far was read while the user spoke; the
reply is spoken from its first clause on. Whisper is asked when the speech is over: what the daemon
gains by asking it in the silence, and by reading what is said while it is said, is not in it.

Both are given the same work: the same speech, the same conversation, so many tokens of a reply, and
then its words, whatever the models say.
"""

from __future__ import annotations

import re
from itertools import count, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.engines_llm import HISTORY_TOKENS, Messages, clocked, read_ahead, recall, reply
from voiced.bench.engines_tts import SENTENCE, first_clause, first_sound
from voiced.bench.hosts import llama_spec, open_host, piper_spec, whisper_spec
from voiced.bench.naive import Asked
from voiced.bench.pairs import SETTLE_S, WHOLE, Comparison, compare
from voiced.engines.clients_stt import EngineStt
from voiced.engines.ports import Priority

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.bench.engines import Effort
    from voiced.bench.hosts import Models
    from voiced.bench.rival import Rival
    from voiced.engines.host import EngineHost

STAGES: Final = ("stt", "llm", "tts")

_TOKEN: Final = re.compile(r"\w+|[^\w\s]")
"""What is a token in a vocabulary of true size, mostly: a word, a mark."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """The models of a turn."""

    whisper: Path
    llama: Path
    piper: Path


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What both sides are given. `history` is what was said before, `history_tokens` long."""

    history: Messages
    history_tokens: int
    clause: str
    clause_tokens: int
    sentence: str
    sentence_tokens: int


async def compare_engines(
    models: Models,
    chosen: Chosen,
    rival: Rival,
    speech: bytes,
    effort: Effort,
    tell: Callable[[str], None],
) -> tuple[Given, Comparison]:
    """Turns by the engines and by `rival`, which has the same models, and what both were given.
    `speech` is PCM16 mono at 16 kHz. Raises `EngineError`."""
    async with (
        open_host(whisper_spec(models, chosen.whisper, effort.threads)) as stt,
        open_host(llama_spec(models, chosen.llama, effort.threads)) as llm,
        open_host(piper_spec(models, chosen.piper, effort.threads)) as tts,
    ):
        history = await recall(llm, HISTORY_TOKENS)
        clause = first_clause(SENTENCE)
        given = Given(
            history=history,
            history_tokens=await read_ahead(llm, history),
            clause=clause,
            clause_tokens=count_tokens(clause),
            sentence=SENTENCE,
            sentence_tokens=count_tokens(SENTENCE),
        )
        comparison = await compare(
            "the engines alone, one after the other",
            _Tuned(stt, llm, tts, speech, given).turn,
            _Naive(rival, speech, given).turn,
            pairs=effort.pairs,
            tell=tell,
        )
    return given, comparison


def count_tokens(text: str) -> int:
    """About as many as a vocabulary of true size would have; that of a made model may not."""
    return len(_TOKEN.findall(text))


class _Tuned:
    def __init__(
        self,
        stt: EngineHost,
        llm: EngineHost,
        tts: EngineHost,
        speech: bytes,
        given: Given,
    ) -> None:
        self._stt, self._llm, self._tts = stt, llm, tts
        self._speech = speech
        self._given = given

    async def turn(self) -> dict[str, float]:
        marks = []
        async with EngineStt(self._stt).transcribe(
            language="en", priority=Priority.CONVERSATION
        ) as utterance:
            # While the user speaks: the audio is streamed, and what was said before is read.
            await utterance.feed(self._speech)
            await read_ahead(self._llm, self._given.history)
            await trio.sleep(SETTLE_S)
            marks.append(trio.current_time())
            heard = (await utterance.finish()).text
        marks.append(trio.current_time())
        question = {"role": "user", "content": heard}
        await reply(self._llm, [*self._given.history, question], self._given.clause_tokens)
        marks.append(trio.current_time())
        await first_sound(self._tts, self._given.clause)
        marks.append(trio.current_time())
        took = [(later - earlier) * 1000 for earlier, later in pairwise(marks)]
        return {**dict(zip(STAGES, took, strict=True)), WHOLE: sum(took)}


class _Naive:
    def __init__(self, rival: Rival, speech: bytes, given: Given) -> None:
        self._rival = rival
        self._speech = speech
        self._given = given
        self._numbers = count(1)

    async def turn(self) -> dict[str, float]:
        return await self._rival.spend(
            Asked(
                op="turn",
                pcm=self._speech,
                messages=clocked(self._given.history, next(self._numbers)),
                tokens=self._given.sentence_tokens,
                text=self._given.sentence,
            )
        )
