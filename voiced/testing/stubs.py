"""Engines that wait and answer the same thing, to measure everything around engines.

Chosen by `engine = "stub"`; they understand nothing and say nothing. Each serves many
requests at once, so that what is measured is never a queue in front of a stub.
"""

from __future__ import annotations

import math
import threading
from array import array
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import EngineInfo, Kind, Work

if TYPE_CHECKING:
    from collections.abc import Mapping

CONCURRENCY = 64
TRANSCRIPT = "stub transcript"
SAMPLE_RATE_HZ = 24_000

_STT_BYTES_PER_S = 32_000
_CHUNK_MS = 100
_TONE_HZ = 440.0  # a whole number of periods in a chunk, so that chunks join without a click
_AMPLITUDE = 1_000
_DELTAS = 4


class _Stub:
    _kind: Kind
    _model: str
    _sample_rates: tuple[int, ...] = ()

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._first_s = float(options.get("first_ms", 0.0)) / 1000

    def load(self) -> EngineInfo:
        return EngineInfo(
            kind=self._kind,
            name="stub",
            version="1",
            model=self._model,
            sample_rates=self._sample_rates,
            concurrency=CONCURRENCY,
        )

    def warm_up(self) -> None:
        pass

    def _wait(self, work: Work) -> None:
        """Wait `first_ms`; raises `WorkCancelled` as soon as the request is cancelled."""
        if self._first_s > 0:
            cancelled = threading.Event()
            work.on_cancel(cancelled.set)
            cancelled.wait(self._first_s)
        work.raise_if_cancelled()


class StubStt(_Stub):
    """Waits `first_ms` after the end of the audio, then has always heard the same words."""

    _kind = "stt"
    _model = "a fixed transcript"
    _sample_rates = (16_000,)

    def run(self, work: Work) -> Mapping[str, Any]:
        """See `ChildEngine.run`, transcribe."""
        heard_bytes = sum(len(chunk) for chunk in work.chunks())
        self._wait(work)
        return {"text": TRANSCRIPT, "confidence": 1.0, "duration_s": heard_bytes / _STT_BYTES_PER_S}


class StubLlm(_Stub):
    """Waits `first_ms`, then streams `reply` in a few deltas."""

    _kind = "llm"
    _model = "a fixed reply"

    def run(self, work: Work) -> Mapping[str, Any]:
        """See `ChildEngine.run`, reply."""
        reply = str(self._options.get("reply", ""))
        self._wait(work)
        size = max(1, math.ceil(len(reply) / _DELTAS))
        for start in range(0, len(reply), size):
            work.emit({"text": reply[start : start + size]})
        return {"finish": "stop", "input_tokens": 0, "output_tokens": len(reply.split())}


class StubTts(_Stub):
    """Waits `first_ms`, then streams `audio_s` seconds of a quiet tone."""

    _kind = "tts"
    _model = "a quiet tone"
    _sample_rates = (SAMPLE_RATE_HZ,)

    def warm_up(self) -> None:
        """Make the tone."""
        samples = SAMPLE_RATE_HZ * _CHUNK_MS // 1000
        step = 2 * math.pi * _TONE_HZ / SAMPLE_RATE_HZ
        tone = (round(_AMPLITUDE * math.sin(step * index)) for index in range(samples))
        self._chunk = array("h", tone).tobytes()

    def run(self, work: Work) -> Mapping[str, Any]:
        """See `ChildEngine.run`, speak."""
        audio_s = float(self._options.get("audio_s", 1.0))
        left_bytes = round(audio_s * SAMPLE_RATE_HZ) * 2
        self._wait(work)
        while left_bytes > 0:
            pcm = self._chunk[:left_bytes]
            work.emit({"pcm": pcm, "sample_rate": SAMPLE_RATE_HZ})
            left_bytes -= len(pcm)
        return {"duration_s": audio_s}
