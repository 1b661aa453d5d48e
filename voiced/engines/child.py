"""An engine's process: `python -m voiced.engines.child KIND NAME`, started by its host.

Plain threads, and nothing imported but msgspec and the engine. The main thread reads frames,
so that pings are answered and cancels are heard while the engine is busy; the engine loads,
warms up and works on threads of its own, as many as it declares, made when first needed.
The process ends, at once and without ceremony, when told to, at the end of its request pipe,
and when the daemon dies.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import os
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from voiced.engines import isolation, wire
from voiced.engines.failure import report, report_everything
from voiced.engines.ports import ChildEngine, EngineInfo, WorkCancelled
from voiced.engines.work import ChildWork
from voiced.errors import EngineFailed, ModelError, VoicedError

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_BYTES = 65_536
_SWITCH_INTERVAL_S = 0.001
"""How long an engine in pure Python may keep the reader thread from seeing a cancel."""


class _Child:
    def __init__(self, kind: str, name: str, answers: int) -> None:
        self._name = f"{kind}.{name}"
        self._answers = answers
        self._write_lock = threading.Lock()
        self._works: dict[int, ChildWork] = {}
        self._queue: queue.SimpleQueue[ChildWork] = queue.SimpleQueue()
        self._threads = 0
        self._concurrency = 1
        self._engine: ChildEngine | None = None

    def send(self, message: wire.FromChild) -> None:
        frame = memoryview(wire.encode(message))
        with self._write_lock:
            while frame:
                frame = frame[os.write(self._answers, frame) :]

    # -- the main thread

    def read(self, requests: int) -> NoReturn:
        """Read and handle frames until the pipe ends."""
        reader = wire.child_reader()
        while data := os.read(requests, _READ_BYTES):
            for message in reader.feed(data):
                self._handle(message)
        os._exit(0)

    def _handle(self, message: wire.ToChild) -> None:
        if isinstance(message, wire.Audio):
            if work := self._works.get(message.id):
                work.add_audio(message.pcm)
        elif isinstance(message, wire.Run):
            work = ChildWork(message.id, message.call, message.params, self.send)
            self._works[message.id] = work
            self._queue.put(work)
            if len(self._works) > self._threads and self._threads < self._concurrency:
                self._add_thread()
        elif isinstance(message, wire.End):
            if work := self._works.get(message.id):
                work.end_audio()
        elif isinstance(message, wire.Ask):
            if work := self._works.get(message.id):
                work.ask()
        elif isinstance(message, wire.Cancel):
            if work := self._works.get(message.id):
                work.cancel()
        elif isinstance(message, wire.Ping):
            self.send(wire.Pong(message.id))
        elif isinstance(message, wire.Start):
            isolation.lower_priority(message.nice)
            self._add_thread(message)
        else:
            os._exit(0)

    def _add_thread(self, start: wire.Start | None = None) -> None:
        self._threads += 1
        threading.Thread(
            target=self._work_forever, args=(start,), name=f"engine-{self._threads}", daemon=True
        ).start()

    # -- the engine's threads

    def _work_forever(self, start: wire.Start | None) -> None:
        try:
            if start is not None:
                self._load(start)
            while True:
                self._run(self._queue.get())
        except BrokenPipeError:
            os._exit(0)  # the daemon has gone
        except BaseException as exc:  # a thread less would be a slot that never answers
            report(exc)
            os._exit(70)

    def _load(self, start: wire.Start) -> None:
        """Load and warm up the engine, and say so, or say why not and exit."""
        try:
            engine = _find_class(start.target)(start.options)
            _route_logging()
            info: EngineInfo = engine.load()
            engine.warm_up()
        except VoicedError as exc:
            self._fail(exc.code, f"{self._name}: {exc}")
        except Exception as exc:  # whatever a library raises when its data is unusable
            report(exc)
            self._fail(ModelError.code, f"{self._name}: {type(exc).__name__}: {exc}")
        self._engine = engine
        self._concurrency = info.concurrency
        gc.collect()
        gc.freeze()  # what a loaded model consists of is never garbage
        self.send(wire.Ready(info))

    def _fail(self, code: str, message: str) -> NoReturn:
        self.send(wire.Fail(code, " ".join(message.split())))
        os._exit(1)

    def _run(self, work: ChildWork) -> None:
        assert self._engine is not None
        answer: wire.FromChild
        try:
            work.raise_if_cancelled()
            result: dict[str, Any] = dict(self._engine.run(work))
            answer = wire.Done(work.id, result)
        except WorkCancelled:
            answer = wire.Cancelled(work.id)
        except VoicedError as exc:
            if str(exc) != exc.public:
                print(f"<4>{exc}", file=sys.stderr)
            answer = wire.Error(work.id, exc.code, exc.public)
        except Exception as exc:
            if not work.cancelled:  # what an aborted library raises is no news
                report(exc)
            text = f"the engine {self._name} failed on this request ({type(exc).__name__})"
            answer = wire.Error(work.id, EngineFailed.code, text)
        work.close()
        self._works.pop(work.id, None)
        if work.cancelled:
            answer = wire.Cancelled(work.id)
        try:
            self.send(answer)
        except wire.FrameError as exc:
            self.send(wire.Error(work.id, EngineFailed.code, f"the result {exc}"))


def _find_class(target: str) -> Callable[[dict[str, Any]], ChildEngine]:
    module, _, attribute = target.partition(":")
    found: Callable[[dict[str, Any]], ChildEngine]
    found = getattr(importlib.import_module(module), attribute)
    return found


def _route_logging() -> None:
    """Send what a library logs to stderr with the journal's `<N>` prefix, if it logs at all."""
    if (logging := sys.modules.get("logging")) is None:
        return
    prefixes = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"))
    for level, prefix in (*prefixes, (logging.DEBUG, "<7>")):
        logging.addLevelName(level, prefix)
    logging.basicConfig(format="%(levelname)s%(name)s: %(message)s", stream=sys.stderr)


def main(argv: list[str]) -> NoReturn:
    """Serve the engine named on the command line until the daemon ends it."""
    if len(argv) != 2:
        sys.exit("voiced starts this itself: python -m voiced.engines.child KIND NAME")
    kind, name = argv
    requests, answers = isolation.reserve_stdio()
    isolation.die_with_parent()
    isolation.leave_signals_to_parent()
    isolation.name_process(f"voiced-{kind}")
    faulthandler.enable()
    report_everything()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    try:
        _Child(kind, name, answers).read(requests)
    except BrokenPipeError:
        os._exit(0)
    except BaseException as exc:
        report(exc)
        os._exit(70)


if __name__ == "__main__":
    main(sys.argv[1:])
