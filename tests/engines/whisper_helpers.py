"""Whisper models for tests, each made once in a run of the suite, and a `Work` on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voiced.engines.ports import WorkCancelled
from voiced.engines.stt.whisper import WhisperEngine
from voiced.engines.stt.whisper_windows import RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path


class Hearing:
    """A `Work` whose audio is known from the start; an empty chunk asks what was heard."""

    op = "transcribe"

    def __init__(self, *chunks: bytes, **params: object) -> None:
        self.params: Mapping[str, Any] = {"language": "en", **params}
        self.parts: list[Mapping[str, Any]] = []
        self.cancelled = False
        self._chunks = chunks
        self._hooks: list[Callable[[], None]] = []

    def on_cancel(self, callback: Callable[[], None]) -> None:
        self._hooks.append(callback)

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        self.raise_if_cancelled()
        self.parts.append(part)

    @property
    def asked_anew(self) -> bool:
        return False

    def chunks(self) -> Iterator[bytes]:
        yield from self._chunks

    def cancel(self) -> None:
        self.cancelled = True
        for hook in self._hooks:
            hook()


def sound(seconds: float, level: float = 0.1) -> bytes:
    """Noise: what a listener takes for speech."""
    noise = np.random.default_rng(round(seconds * 1000))
    samples = noise.standard_normal(round(RATE * seconds)) * level * 32767
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def silence(seconds: float) -> bytes:
    """Digital silence."""
    return bytes(2 * round(RATE * seconds))


def loaded(model: Path, **options: object) -> WhisperEngine:
    """The engine with this model, ready."""
    engine = WhisperEngine(
        {"model": str(model), "language": "en", "compute_type": "float32", "threads": 1, **options}
    )
    engine.load()
    engine.warm_up()
    return engine


def hear(engine: WhisperEngine, *chunks: bytes, **params: object) -> Mapping[str, Any]:
    """The result of one utterance."""
    return engine.run(Hearing(*chunks, **params))


def stable_texts(parts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What of each part no later one takes back."""
    return [part["stable"] for part in parts if "stable" in part]
