"""Piper by the engine, clause by clause, against piper-tts, which speaks whole sentences."""

from __future__ import annotations

import random
import threading
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from piper.voice import PiperVoice

from voiced.bench.engines import Cancels, Effort, EngineReport
from voiced.bench.pairs import compare
from voiced.bench.stats import summarise
from voiced.engines.ports import WorkCancelled
from voiced.engines.tts.piper import THREADS, PiperEngine
from voiced.engines.tts.text import ClauseSplitter
from voiced.engines.work import ChildWork
from voiced.errors import ModelError
from voiced.models.directory import ModelsDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voiced.engines.wire import Part

SENTENCE = (
    "It is sunny today, with a light wind from the west, and about twenty degrees in the afternoon."
)
GOAL = 3.0
"""How many times sooner the first sound of a sentence should come."""

SEED = 20
CONTROL_EVERY = 10


def measure_tts(
    models: Path, pcm: bytes, effort: Effort, tell: Callable[[str], None]
) -> list[EngineReport]:
    """A `Measure`, for each voice of Piper's. What is heard does not matter to it."""
    del pcm
    return [
        _measure(models, model.name, model.path, effort, tell)
        for model in ModelsDirectory(models).look("piper").models
    ]


def _measure(
    models: Path, name: str, path: str, effort: Effort, tell: Callable[[str], None]
) -> EngineReport:
    threads = effort.threads or THREADS
    tell(f"{name}: loading")
    engine = PiperEngine(
        {"voice": name, "models_directory": str(models), "options": {"threads": threads}}
    )
    engine.load()
    engine.warm_up()
    try:
        naive = PiperVoice.load(path)
    except Exception as exc:  # the engine could load it
        raise ModelError(f"piper-tts cannot load {path}: {exc}") from exc
    first = first_clause(SENTENCE)
    tell(f"{name}: first sound")
    comparisons = [
        compare(
            "first sound of a sentence",
            lambda: engine.run(request(first)),
            lambda: next(iter(naive.synthesize(SENTENCE))),
            pairs=effort.pairs,
            goal=GOAL,
        ),
        compare(
            "a whole sentence",
            lambda: engine.run(request(SENTENCE)),
            lambda: list(naive.synthesize(SENTENCE)),
            pairs=effort.pairs,
        ),
    ]
    tell(f"{name}: cancelling")
    return EngineReport(
        engine="tts.piper",
        model=name,
        naive=f"piper-tts {version('piper-tts')}, synthesize() with its defaults",
        settings={"threads": str(threads)},
        comparisons=comparisons,
        cancels=measure_cancels(engine, naive, effort.cancels),
    )


def first_clause(text: str) -> str:
    """What a reply gives the engine first."""
    splitter = ClauseSplitter()
    return [*splitter.feed(text), *splitter.flush()][0]


def request(text: str, keep: Callable[[Part], None] = lambda _part: None) -> ChildWork:
    """A request as the engine's process gets it."""
    return ChildWork(1, "speak", {"text": text, "voice": "", "speed": 1.0}, keep)


def measure_cancels(engine: PiperEngine, naive: PiperVoice, count: int) -> Cancels | None:
    """Cancel at moments spread evenly over the time that the whole sentence takes.

    The engine works on one request at a time: to have acknowledged is to be idle.
    """
    if not count:
        return None
    chance = random.Random(SEED)
    whole_s = _seconds(lambda: engine.run(request(SENTENCE)))
    naive_s = _seconds(lambda: list(naive.synthesize(SENTENCE)))
    idle: list[float] = []
    control: list[float] = []
    stale = 0
    for number in range(count):
        moment = chance.random()
        parts: list[Part] = []
        work = request(SENTENCE, parts.append)
        thread = threading.Thread(target=_run_cancelled, args=(engine, work))
        thread.start()
        time.sleep(moment * whole_s)
        known = len(parts)
        began = time.perf_counter()
        work.cancel()
        thread.join()
        idle.append((time.perf_counter() - began) * 1000)
        stale += max(0, len(parts) - known - 1)  # one may have been on its way
        if number % CONTROL_EVERY == 0:
            control.append(_left_alone(naive, moment * naive_s))
    found = summarise(idle)
    return Cancels(
        acknowledged_ms=found, idle_ms=found, control_ms=summarise(control), stale_parts=stale
    )


def _run_cancelled(engine: PiperEngine, work: ChildWork) -> None:
    try:
        engine.run(work)
    except WorkCancelled:
        return


def _left_alone(naive: PiperVoice, moment_s: float) -> float:
    """How long it goes on from that moment, in milliseconds."""
    thread = threading.Thread(target=lambda: list(naive.synthesize(SENTENCE)))
    thread.start()
    time.sleep(moment_s)
    began = time.perf_counter()
    thread.join()
    return (time.perf_counter() - began) * 1000


def _seconds(task: Callable[[], object]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began
