"""What the engines gain over the naive use of the same models, engine by engine.

Each kind of engine has a module of its own with a function that looks for models it can use and
measures with each; it is named in `PARTS` and imported only when wanted.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

import msgspec

from voiced.bench.pairs import Comparison
from voiced.bench.stats import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PARTS = {
    "stt": "voiced.bench.engines_stt:measure_stt",
    "llm": "voiced.bench.engines_llm:measure_llm",
    "tts": "voiced.bench.engines_tts:measure_tts",
}
"""Kinds of engines, and the `Measure` of each."""


class Cancels(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were cancelled at random moments, in milliseconds from the cancel on."""

    acknowledged_ms: Summary
    """Until the engine took the next request."""
    idle_ms: Summary
    """Until nothing of the cancelled one was computed any more."""
    control_ms: Summary
    """The same without the hook: the naive way, left to end by itself."""
    stale_parts: int = 0
    """Answers that came after the acknowledgement."""


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """One engine with one model."""

    engine: str
    model: str
    naive: str
    """What it is compared with."""
    settings: dict[str, str]
    comparisons: list[Comparison]
    cancels: Cancels | None = None


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. `threads` 0 is the engine's default."""

    pairs: int = 10
    cancels: int = 200
    threads: int = 0


class Measure(Protocol):
    """Measures with every model of `models` that its engine can use; [] without any."""

    def __call__(
        self, models: Path, pcm: bytes, effort: Effort, tell: Callable[[str], None]
    ) -> list[EngineReport]:
        """`pcm` is speech, PCM16 mono at 16 kHz; `tell` is given what is measured next."""
        ...


def measure_engines(
    kinds: Sequence[str],
    models: Path,
    pcm: bytes,
    effort: Effort,
    tell: Callable[[str], None] = lambda _text: None,
) -> list[EngineReport]:
    """All that can be measured of `kinds`. Blocks for minutes."""
    reports = []
    for kind in kinds:
        module, _, name = PARTS[kind].partition(":")
        measure: Measure = getattr(importlib.import_module(module), name)
        reports += measure(models, pcm, effort, tell)
    return reports
