"""What the engines gain over the naive use of the same models, engine by engine.

Each of ours runs in its process as the daemon has it, at its nice level and behind its pipes; the
naive user has another, and nothing is charged to it but the libraries' work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from voiced.bench import engines_llm, engines_stt, engines_tts
from voiced.bench.cancels import CancelReport, measure_cancels
from voiced.bench.hosts import llama_spec, open_host, piper_spec, whisper_spec
from voiced.bench.pairs import Comparison
from voiced.bench.rival import open_rival
from voiced.engines.spec import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voiced.bench.hosts import Models

COMPARE: Final = {
    "stt": engines_stt.compare_stt,
    "llm": engines_llm.compare_llm,
    "tts": engines_tts.compare_tts,
}
NAIVE: Final = {"stt": engines_stt.NAIVE, "llm": engines_llm.NAIVE, "tts": engines_tts.NAIVE}
CANCELLED_S: Final = 5
"""Seconds of speech in a transcription that is cancelled."""


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """One engine with one model."""

    engine: str
    model: str
    naive: str
    """What it is compared with."""
    comparisons: list[Comparison]
    cancels: CancelReport | None = None

    @property
    def missed(self) -> list[str]:
        """The goals that were missed, a line each."""
        lines = [f"{self.model}, {one.missed}" for one in self.comparisons if one.missed]
        if self.cancels is not None:
            lines += [f"{self.model}, {line}" for line in self.cancels.missed]
        return lines


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. `threads` 0 is what an engine or a library takes by itself."""

    pairs: int = 10
    cancels: int = 200
    threads: int = 0
    seed: int = 1


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One engine with one model; `naive` is what the naive user loads."""

    model: str
    spec: EngineSpec
    naive: dict[str, Any]


def find_cases(kind: str, models: Models, threads: int = 0) -> Iterator[Case]:
    """Everything that can be measured of that kind."""
    if kind == "stt":
        for path in models.whisper:
            yield _case(path.name, whisper_spec(models, path, threads), whisper=path)
    elif kind == "llm":
        for path in models.llama:
            yield _case(path.stem, llama_spec(models, path, threads), llama=path)
    else:
        for path in models.piper:
            yield _case(path.stem, piper_spec(models, path, threads), piper=path)


def _case(model: str, spec: EngineSpec, **naive: object) -> Case:
    return Case(model=model, spec=spec, naive={key: str(path) for key, path in naive.items()})


async def measure_engines(
    kinds: Sequence[str],
    models: Models,
    pcm: bytes,
    effort: Effort,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[EngineReport]:
    """All that can be measured of `kinds`, which takes minutes. `pcm` is speech, PCM16 mono at
    16 kHz; `tell` is told what is done. Raises `EngineError` and `ModelError`."""
    return [
        await _measure(kind, case, pcm, effort, tell)
        for kind in kinds
        for case in find_cases(kind, models, effort.threads)
    ]


async def _measure(
    kind: str, case: Case, pcm: bytes, effort: Effort, tell: Callable[[str], None]
) -> EngineReport:
    def told(doing: str) -> None:
        tell(f"{case.model}: {doing}")

    told("loading")
    async with (
        open_host(case.spec) as host,
        open_rival(threads=effort.threads, **case.naive) as rival,
    ):
        comparisons = await COMPARE[kind](host, rival, pcm, effort.pairs, told)
    cancels = None
    if effort.cancels:
        speech = engines_stt.lasting(pcm, CANCELLED_S) if kind == "stt" else b""
        cancels = await measure_cancels(
            case.spec, speech, cancels=effort.cancels, seed=effort.seed, tell=told
        )
    return EngineReport(
        engine=f"{kind}.{case.spec.name}",
        model=case.model,
        naive=NAIVE[kind],
        comparisons=comparisons,
        cancels=cancels,
    )
