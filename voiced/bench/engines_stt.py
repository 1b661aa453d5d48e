"""Whisper by the engine against faster-whisper's `transcribe` with its defaults."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from voiced.bench.engines import Cancels, Effort, EngineReport
from voiced.bench.pairs import Comparison, compare
from voiced.bench.stats import summarise
from voiced.engines.ports import WorkCancelled
from voiced.engines.stt.whisper import MOST_THREADS, WhisperEngine
from voiced.engines.stt.whisper_calls import Caller
from voiced.engines.stt.whisper_file import MODEL
from voiced.engines.stt.whisper_model import FULL_FRAMES, RATE, window_frames
from voiced.engines.stt.whisper_windows import to_samples
from voiced.engines.work import ChildWork
from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voiced.engines.wire import Part

GOALS = {5: 10.0, 10: 5.0}
"""Seconds of speech, and how many times cheaper to encode them should be."""

COMPUTE_TYPE = "int8"
SEED = 20
CANCELLED_S = 5
CONTROL_EVERY = 10


def measure_stt(
    models: Path, pcm: bytes, effort: Effort, tell: Callable[[str], None]
) -> list[EngineReport]:
    """A `Measure`, for each Whisper model."""
    return [_measure(path.parent, pcm, effort, tell) for path in sorted(models.glob(f"*/{MODEL}"))]


def _measure(folder: Path, pcm: bytes, effort: Effort, tell: Callable[[str], None]) -> EngineReport:
    import faster_whisper  # takes a while, and 20 MB

    threads = effort.threads or min(MOST_THREADS, os.cpu_count() or 1)
    tell(f"{folder.name}: loading")
    engine = WhisperEngine(
        {
            "model": str(folder),
            "language": "auto",
            "threads": threads,
            "compute_type": COMPUTE_TYPE,
        }
    )
    engine.load()
    engine.warm_up()
    try:
        naive = faster_whisper.WhisperModel(
            str(folder), device="cpu", cpu_threads=threads, compute_type=COMPUTE_TYPE
        )
    except Exception as exc:  # the engine could load it
        raise ModelError(f"faster-whisper cannot load {folder}: {exc}") from exc
    comparisons: list[Comparison] = []
    for seconds, goal in GOALS.items():
        speech = lasting(pcm, seconds)
        tell(f"{folder.name}: {seconds} s of speech")
        comparisons.append(compare_encoding(engine, naive, speech, effort.pairs, goal))
        comparisons.append(compare_transcripts(engine, naive, speech, effort.pairs))
    tell(f"{folder.name}: cancelling")
    return EngineReport(
        engine="stt.whisper",
        model=folder.name,
        naive=f"faster-whisper {faster_whisper.__version__}, transcribe() with its defaults",
        settings={"threads": str(threads), "compute_type": COMPUTE_TYPE},
        comparisons=comparisons,
        cancels=measure_cancels(engine, naive, lasting(pcm, CANCELLED_S), effort.cancels),
    )


def lasting(pcm: bytes, seconds: int) -> bytes:
    """Speech of that length: said again and again, and cut."""
    wanted = 2 * RATE * seconds
    return (pcm * (wanted // len(pcm) + 1))[:wanted]


def compare_encoding(
    engine: WhisperEngine,
    naive: Any,  # noqa: ANN401  # untyped library
    speech: bytes,
    pairs: int,
    goal: float,
) -> Comparison:
    """From samples to the encoder's output: the features are made anew each time by both."""
    samples = to_samples(speech)
    frames = window_frames(len(samples), full=False)
    model = engine.model

    def encode_30_s() -> None:
        features = naive.feature_extractor(samples)
        naive.encode(np.pad(features, ((0, 0), (0, FULL_FRAMES - features.shape[1]))))

    return compare(
        f"encode {len(samples) // RATE} s",
        lambda: model.encode(samples, frames),
        encode_30_s,
        pairs=pairs,
        goal=goal,
    )


def compare_transcripts(
    engine: WhisperEngine,
    naive: Any,  # noqa: ANN401  # untyped library
    speech: bytes,
    pairs: int,
) -> Comparison:
    """From audio to text, with a language that is known to ours, as a setting, and not to the
    other, whose default is to find out."""
    samples = to_samples(speech)
    return compare(
        f"transcribe {len(samples) // RATE} s",
        lambda: engine.run(request(speech)),
        lambda: transcribe_naively(naive, samples),
        pairs=pairs,
    )


def transcribe_naively(naive: Any, samples: Any) -> str:  # noqa: ANN401  # untyped library
    """As its README shows it."""
    segments, _info = naive.transcribe(samples)
    return "".join(segment.text for segment in segments)


def request(pcm: bytes, send: Callable[[Part], None] = lambda _part: None) -> ChildWork:
    """A request as the engine's process makes it, with all of its audio there."""
    work = ChildWork(1, "transcribe", {"language": "en"}, send)
    work.add_audio(pcm)
    work.end_audio()
    return work


def measure_cancels(
    engine: WhisperEngine,
    naive: Any,  # noqa: ANN401  # untyped library
    speech: bytes,
    count: int,
) -> Cancels | None:
    """Cancel at moments spread evenly over the time that the request would take."""
    if not count:
        return None
    chance = random.Random(SEED)
    samples = to_samples(speech)
    whole_s, naive_s = (
        _seconds(lambda: engine.run(request(speech))),
        _seconds(lambda: transcribe_naively(naive, samples)),
    )
    acknowledged, idle, control = [], [], []
    stale = 0
    for number in range(count):
        moment = chance.random()
        parts: list[Part] = []
        work = request(speech, parts.append)
        thread = threading.Thread(target=_run_cancelled, args=(engine, work))
        thread.start()
        time.sleep(moment * whole_s)
        began = time.perf_counter()
        work.cancel()
        thread.join()
        acknowledged.append((time.perf_counter() - began) * 1000)
        known = len(parts)
        Caller(request(b""), engine.turns)(lambda: None)  # has its turn behind what still runs
        idle.append((time.perf_counter() - began) * 1000)
        stale += len(parts) - known
        if number % CONTROL_EVERY == 0:
            control.append(_left_alone(naive, samples, moment * naive_s))
    return Cancels(
        acknowledged_ms=summarise(acknowledged),
        idle_ms=summarise(idle),
        control_ms=summarise(control),
        stale_parts=stale,
    )


def _run_cancelled(engine: WhisperEngine, work: ChildWork) -> None:
    try:
        engine.run(work)
    except WorkCancelled:
        return


def _left_alone(naive: Any, samples: Any, moment_s: float) -> float:  # noqa: ANN401
    """How long it goes on from that moment, in milliseconds."""
    thread = threading.Thread(target=transcribe_naively, args=(naive, samples))
    thread.start()
    time.sleep(moment_s)
    began = time.perf_counter()
    thread.join()
    return (time.perf_counter() - began) * 1000


def _seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began
