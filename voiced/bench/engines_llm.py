"""llama.cpp by the engine against llama-cpp-python's `Llama` with its defaults."""

from __future__ import annotations

import importlib
import os
import random
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from voiced.bench.engines import Cancels, Effort, EngineReport
from voiced.bench.pairs import Comparison, compare, milliseconds
from voiced.bench.stats import summarise
from voiced.engines.llm.llama import LlamaEngine, LlamaOptions
from voiced.engines.llm.llama_library import PACKAGE, open_library
from voiced.engines.ports import WorkCancelled
from voiced.engines.work import ChildWork
from voiced.errors import ModelError
from voiced.models.shape import GGUF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from voiced.engines.wire import Part

Naive: TypeAlias = Any
"""`llama_cpp.Llama`, which has no types."""

GOAL = 12.0
"""How many times sooner the first token should come."""

HISTORY_TOKENS = 400
CONTEXT = 2048
ANSWER_TOKENS = 32
SEED = 20
CONTROL_EVERY = 10

SENTENCE = "The lamp in the kitchen is on, and the one in the hall is off. "


def measure_llm(
    models: Path, pcm: bytes, effort: Effort, tell: Callable[[str], None]
) -> list[EngineReport]:
    """A `Measure`, for each GGUF file; what is said there is of no use to it."""
    found = sorted([*models.glob(f"*{GGUF}"), *models.glob(f"*/*{GGUF}")])
    return [_measure(path, effort, tell) for path in found]


def _measure(path: Path, effort: Effort, tell: Callable[[str], None]) -> EngineReport:
    tell(f"{path.stem}: loading")
    cores = os.cpu_count() or 1
    threads = effort.threads or min(LlamaOptions().threads, cores)
    engine = LlamaEngine(
        {
            "model": str(path),
            "context": CONTEXT,
            "threads": threads,
            "threads_batch": effort.threads or cores,
            "temperature": 0.0,
        }
    )
    engine.load()
    engine.warm_up()
    naive = open_naive(path, effort.threads)
    history = history_of(engine)
    try:
        tell(f"{path.stem}: first token after {HISTORY_TOKENS} tokens")
        comparison = compare_first_token(engine, naive, history, effort.pairs)
        tell(f"{path.stem}: cancelling")
        cancels = measure_cancels(engine, naive, history, effort.cancels)
    finally:
        engine.close()
        naive.close()
    return EngineReport(
        engine="llm.llama",
        model=path.stem,
        naive=f"{PACKAGE}, Llama() with its defaults, a clock at the head of the prompt",
        settings={"threads": str(threads), "batch": str(LlamaOptions().batch)},
        comparisons=[comparison],
        cancels=cancels,
    )


def open_naive(path: Path, threads: int) -> Naive:
    """As its README shows it. Raises `ModelError`."""
    open_library()
    try:
        return importlib.import_module("llama_cpp").Llama(
            model_path=str(path), n_ctx=CONTEXT, n_threads=threads or None, verbose=False
        )
    except Exception as exc:  # the engine could load it
        raise ModelError(f"{PACKAGE} cannot load {path}: {exc}") from exc


def history_of(engine: LlamaEngine) -> list[dict[str, Any]]:
    """A conversation of about `HISTORY_TOKENS`, by the model's own tokenizer."""
    instructions = SENTENCE
    while True:
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": instructions},
            {"role": "user", "content": "Is the lamp on?"},
            {"role": "assistant", "content": "Yes, it is."},
        ]
        if engine.count_tokens(messages) >= HISTORY_TOKENS:
            return messages
        instructions += SENTENCE


def compare_first_token(
    engine: LlamaEngine, naive: Naive, history: list[dict[str, Any]], pairs: int
) -> Comparison:
    """From the question to the first token, another question each time. Ours has read what was
    said before; the other one begins with a clock, so that it reads all of it anew."""
    numbers = count(1)
    engine.run(request("prefill", messages=history))

    def ours() -> None:
        messages = [*history, question(next(numbers))]
        engine.run(request("reply", messages=messages, max_output_tokens=1))

    def theirs() -> None:
        number = next(numbers)
        next(stream_naively(naive, clocked(history, number, question(number)), 1))

    name = f"first token after {HISTORY_TOKENS} tokens"
    return compare(name, ours, theirs, pairs=pairs, goal=GOAL)


def question(number: int) -> dict[str, Any]:
    """What the user says last."""
    return {"role": "user", "content": f"And lamp number {number}?"}


def clocked(history: list[dict[str, Any]], number: int, *more: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """The history with a time at its head, another one for each number."""
    clock = f"It is {number // 60 % 24:02d}:{number % 60:02d}. "
    first = {**history[0], "content": clock + history[0]["content"]}
    return [first, *history[1:], *more]


def stream_naively(naive: Naive, messages: list[dict[str, Any]], tokens: int) -> Iterator[Any]:
    """The tokens as they come; the first item tells the role, and nothing was computed for it."""
    stream = naive.create_chat_completion(
        messages=messages, stream=True, max_tokens=tokens, temperature=0.0
    )
    next(stream)
    yield from stream


def request(op: str, send: Callable[[Part], None] = lambda _part: None, **params: Any) -> ChildWork:  # noqa: ANN401
    """A request as the engine's process makes it."""
    return ChildWork(1, op, params, send)


def measure_cancels(
    engine: LlamaEngine, naive: Naive, history: list[dict[str, Any]], cancels: int
) -> Cancels | None:
    """Cancel at moments spread evenly over a whole request: a new prompt, and its answer."""
    if not cancels:
        return None
    chance, numbers = random.Random(SEED), count(1)

    def messages() -> list[dict[str, Any]]:
        number = next(numbers)
        return clocked(history, number, question(number))

    def whole() -> ChildWork:
        return request("reply", messages=messages(), max_output_tokens=ANSWER_TOKENS)

    whole_s = milliseconds(lambda: engine.run(whole())) / 1000
    naive_s = milliseconds(lambda: list(stream_naively(naive, messages(), ANSWER_TOKENS))) / 1000
    acknowledged, control, stale = [], [], 0
    for number in range(cancels):
        moment = chance.random()
        parts: list[Part] = []
        work = request("reply", parts.append, messages=messages(), max_output_tokens=ANSWER_TOKENS)
        thread = threading.Thread(target=_run_cancelled, args=(engine, work))
        thread.start()
        time.sleep(moment * whole_s)
        began = time.perf_counter()
        work.cancel()
        thread.join()
        acknowledged.append((time.perf_counter() - began) * 1000)
        known = len(parts)
        if number % CONTROL_EVERY == 0:
            control.append(_leave_naively(naive, messages(), moment * naive_s))
        stale += len(parts) - known
    summary = summarise(acknowledged)  # it computes on the thread that answers: it is idle then
    return Cancels(
        acknowledged_ms=summary, idle_ms=summary, control_ms=summarise(control), stale_parts=stale
    )


def _run_cancelled(engine: LlamaEngine, work: ChildWork) -> None:
    try:
        engine.run(work)
    except WorkCancelled:
        return


def _leave_naively(naive: Naive, messages: list[dict[str, Any]], moment_s: float) -> float:
    """Stop pulling tokens at that moment; milliseconds until nothing is computed any more."""
    left = threading.Event()

    def pull() -> None:
        for _ in stream_naively(naive, messages, ANSWER_TOKENS):
            if left.is_set():
                return

    thread = threading.Thread(target=pull)
    thread.start()
    time.sleep(moment_s)
    began = time.perf_counter()
    left.set()
    thread.join()
    return (time.perf_counter() - began) * 1000
