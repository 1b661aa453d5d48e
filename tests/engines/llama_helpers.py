"""Engines over models made on the spot, and requests to them, in this process."""

from __future__ import annotations

import importlib.util
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.patience import CEILING_S
from voiced.engines.llm.llama import LlamaEngine
from voiced.engines.ports import WorkCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

INSTALLED = importlib.util.find_spec("llama_cpp") is not None
if INSTALLED:
    importlib.import_module("llama_cpp")  # it opens files for as long as the process lives
REQUIRED = os.environ.get("VOICED_REQUIRE_LLAMA") == "1"

needs_llama = pytest.mark.skipif(
    not INSTALLED and not REQUIRED,
    reason="llama-cpp-python is not installed: VOICED_EXTRAS=llama scripts/test",
)
"""For tests that load a model: skipped where a developer did without the extra, not in CI."""

Message = dict[str, Any]


class Request:
    """A `Work` on the spot, cancelled by `cancel` from whatever thread."""

    def __init__(self, op: str = "reply", *, deaf: bool = False, **params: object) -> None:
        """A `deaf` one has no hook, and is only asked between tokens."""
        self.op = op
        self.params: Mapping[str, Any] = params
        self.parts: list[Mapping[str, Any]] = []
        self.late = 0
        self.cancelled = False
        self.begun = threading.Event()
        self._deaf = deaf
        self._lock = threading.Lock()
        self._hooks: list[Callable[[], None]] = []

    def on_cancel(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if not self.cancelled:
                self._hooks.append(callback)
                callback = _nothing
        self.begun.set()
        if not self._deaf:
            callback()

    def raise_if_cancelled(self) -> None:
        if self.cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        with self._lock:
            self.raise_if_cancelled()
            self.parts.append(part)

    asked_anew = False

    def chunks(self) -> Iterator[bytes]:
        raise AssertionError("a reply takes no audio")

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            hooks, self._hooks = self._hooks, []
        for hook in hooks:
            if not self._deaf:
                hook()

    @property
    def text(self) -> str:
        return "".join(part.get("text", "") for part in self.parts)

    @property
    def calls(self) -> list[tuple[str, str]]:
        calls = [part["tool_call"] for part in self.parts if "tool_call" in part]
        return [(call["name"], call["arguments"]) for call in calls]


def _nothing() -> None:
    pass


@contextmanager
def loaded(model: Path, **options: object) -> Iterator[LlamaEngine]:
    """An engine with that model, warm; greedy, and without the time, unless told otherwise."""
    defaults = {"temperature": 0.0, "tell_time": False, "threads": 1, "threads_batch": 1}
    engine = LlamaEngine({"model": str(model), **defaults, **options})
    engine.load()
    engine.warm_up()
    try:
        yield engine
    finally:
        engine.close()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def system(text: str) -> Message:
    return {"role": "system", "content": text}


def ask(
    engine: LlamaEngine,
    *messages: Message,
    tools: Sequence[Message] = (),
    **params: Any,  # noqa: ANN401 - as a request has them
) -> tuple[Request, Mapping[str, Any]]:
    """A reply, to its end."""
    request = Request(messages=list(messages), tools=list(tools), **params)
    return request, engine.run(request)


def prefill(engine: LlamaEngine, *messages: Message, tools: Sequence[Message] = ()) -> int:
    """How many tokens a prefill computed."""
    result = engine.run(Request("prefill", messages=list(messages), tools=list(tools)))
    return int(result["evaluated_tokens"])


def cancelled_while(
    engine: LlamaEngine, request: Request, wait: Callable[[], object]
) -> WorkCancelled | BaseException | None:
    """Run `request` on a thread, cancel it once `wait` returns; what came of it."""
    outcome: list[BaseException | None] = []

    def work() -> None:
        try:
            engine.run(request)
            outcome.append(None)
        except BaseException as exc:
            outcome.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    assert request.begun.wait(CEILING_S)
    wait()
    request.cancel()
    count = len(request.parts)
    thread.join(CEILING_S)
    assert not thread.is_alive()
    request.late = len(request.parts) - count
    return outcome[0]
