"""An engine that cannot be stopped: the control of the bench of cancels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from voiced.engines.ports import ChildEngine, EngineInfo, WorkCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voiced.engines.ports import Work

TARGET = "voiced.bench.deaf:DeafEngine"


class DeafEngine:
    """`ChildEngine` around another one, `options["target"]` with `options["options"]`, that hears
    of no cancel before its work is done."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        module, _, name = str(options["target"]).partition(":")
        make = getattr(importlib.import_module(module), name)
        self._engine: ChildEngine = make(options["options"])

    def load(self) -> EngineInfo:
        return self._engine.load()

    def warm_up(self) -> None:
        self._engine.warm_up()

    def run(self, work: Work) -> Mapping[str, Any]:
        return self._engine.run(_DeafWork(work))


class _DeafWork:
    def __init__(self, work: Work) -> None:
        self._work = work
        self.op = work.op
        self.params = work.params
        self.cancelled = False

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Nobody will call it."""

    def raise_if_cancelled(self) -> None:
        """It never is."""

    def emit(self, part: Mapping[str, Any]) -> None:
        try:
            self._work.emit(part)
        except WorkCancelled:
            return  # nobody listens any more, and it works on

    @property
    def asked_anew(self) -> bool:
        return False

    def chunks(self) -> Iterator[bytes]:
        return self._work.chunks()
