"""Whisper's engine as it is, which besides tells of its native calls what the benches ask."""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from voiced.engines.stt.whisper import WhisperEngine
from voiced.engines.stt.whisper_calls import Caller
from voiced.engines.stt.whisper_model import window_frames
from voiced.engines.stt.whisper_windows import to_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voiced.engines.ports import EngineInfo, Work

P = ParamSpec("P")
T = TypeVar("T")

TARGET = "voiced.bench.probe:ProbedWhisper"

NATIVE = ("encode", "decode")
"""What of the model a transcription calls, and nothing can stop."""


class ProbedWhisper(WhisperEngine):
    """Also takes `encode`, which results in the `ms` of a window's encoding, and `idle`, which
    results, once no native call is under way, in `calls_ms`: what each took since it was asked
    last, those that nobody waited for any more included."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._calls_ms: list[float] = []

    def load(self) -> EngineInfo:
        info = super().load()
        for name in NATIVE:
            setattr(self.model, name, self._timed(getattr(self.model, name)))
        return info

    def _timed(self, call: Callable[P, T]) -> Callable[P, T]:
        @wraps(call)
        def timed(*args: P.args, **kwargs: P.kwargs) -> T:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self._calls_ms.append((time.perf_counter() - began) * 1000)

        return timed

    def run(self, work: Work) -> Mapping[str, Any]:
        if work.op == "encode":
            return self._encode(work)
        if work.op == "idle":
            return {"calls_ms": Caller(work, self.turns)(self._take_calls)}
        return super().run(work)

    def _take_calls(self) -> list[float]:
        """Runs when it is its turn, which comes behind what was still running."""
        taken, self._calls_ms = self._calls_ms, []
        return taken

    def _encode(self, work: Work) -> Mapping[str, Any]:
        """From samples to the encoder's output, the features included."""
        samples = to_samples(b"".join(work.chunks()))
        self.model.encode(samples, window_frames(len(samples), full=False))
        return {"ms": self._calls_ms[-1]}
