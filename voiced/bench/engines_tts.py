"""Piper by the engine, clause by clause, against piper-tts, which speaks whole sentences."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from voiced.bench.naive import Asked
from voiced.bench.pairs import Comparison, compare, timed
from voiced.engines.clients import EngineTts
from voiced.engines.tts.text import ClauseSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.bench.rival import Rival
    from voiced.engines.host import EngineHost

NAIVE: Final = "piper-tts, synthesize() with its defaults"

SENTENCE: Final = (
    "It is sunny today, with a light wind from the west, and about twenty degrees in the afternoon."
)
GOAL: Final = 3.0
"""How many times sooner the first sound of a sentence should come."""


async def compare_tts(
    host: EngineHost, rival: Rival, pcm: bytes, pairs: int, tell: Callable[[str], None]
) -> list[Comparison]:
    """The first sound of a sentence, of which ours is given the first clause, and all of it."""
    del pcm
    return [
        await compare(
            "first sound of a sentence",
            partial(timed, partial(first_sound, host, first_clause(SENTENCE))),
            partial(rival.spend, Asked(op="first sound", text=SENTENCE)),
            pairs=pairs,
            goal=GOAL,
            tell=tell,
        ),
        await compare(
            "a whole sentence",
            partial(timed, partial(_speak, host)),
            partial(rival.spend, Asked(op="speech", text=SENTENCE)),
            pairs=pairs,
            tell=tell,
        ),
    ]


def first_clause(text: str) -> str:
    """What a reply gives the engine first."""
    splitter = ClauseSplitter()
    return [*splitter.feed(text), *splitter.flush()][0]


async def first_sound(host: EngineHost, text: str) -> None:
    """Until the first part of the audio is there."""
    async with EngineTts(host).speak(text) as chunks:
        async for _ in chunks:
            return


async def _speak(host: EngineHost) -> None:
    async with EngineTts(host).speak(SENTENCE) as chunks:
        async for _ in chunks:
            pass
