"""One request inside an engine's process: cancelled by one thread, worked on by another."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from voiced.engines.failure import report
from voiced.engines.ports import WorkCancelled
from voiced.engines.wire import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class ChildWork:
    """The `Work` of `voiced.engines.ports`.

    The reader thread calls `add_audio`, `end_audio` and `cancel`; the worker thread that runs
    the request calls the rest, and `close` when it is over. Audio not yet taken by the engine
    is kept; the daemon bounds it.
    """

    def __init__(
        self, work_id: int, op: str, params: Mapping[str, Any], send: Callable[[Part], None]
    ) -> None:
        self.id = work_id
        self.op = op
        self.params = params
        self._send = send
        self._changed = threading.Condition()
        self._audio: deque[bytes] = deque()
        self._audio_ended = False
        self._cancelled = False
        self._closed = False
        self._callbacks: list[Callable[[], None]] = []
        self._calling_back = False

    # -- for the engine, on the worker thread

    @property
    def cancelled(self) -> bool:
        return self._cancelled

    def on_cancel(self, callback: Callable[[], None]) -> None:
        with self._changed:
            if not self._cancelled:
                self._callbacks.append(callback)
                return
        callback()

    def raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        if self._cancelled:
            raise WorkCancelled
        self._send(Part(self.id, dict(part)))

    @property
    def asked_anew(self) -> bool:
        with self._changed:
            return not all(self._audio)

    def chunks(self) -> Iterator[bytes]:
        while True:
            with self._changed:
                while not (self._audio or self._audio_ended or self._cancelled):
                    self._changed.wait()
                if self._cancelled:
                    raise WorkCancelled
                if not self._audio:
                    return
                chunk = self._audio.popleft()
            yield chunk

    # -- for the process around it

    def add_audio(self, pcm: bytes) -> None:
        """More audio from the daemon."""
        with self._changed:
            self._audio.append(pcm)
            self._changed.notify()

    def ask(self) -> None:
        """The daemon wants to know what was heard so far: an empty chunk tells the engine."""
        self.add_audio(b"")

    def end_audio(self) -> None:
        """No more audio will come."""
        with self._changed:
            self._audio_ended = True
            self._changed.notify()

    def cancel(self) -> None:
        """Mark as cancelled and run the engine's hooks on this thread.

        The hooks run without a lock, so that one may wait for a lock that the engine holds;
        a hook that raises is reported and the others run.
        """
        with self._changed:
            if self._cancelled or self._closed:
                return
            self._cancelled = True
            callbacks, self._callbacks = self._callbacks, []
            self._calling_back = True
            self._changed.notify_all()
        try:
            for callback in callbacks:
                try:
                    callback()
                except Exception as exc:  # the reader thread must outlive a faulty hook
                    report(exc)
        finally:
            with self._changed:
                self._calling_back = False
                self._changed.notify_all()

    def close(self) -> None:
        """The engine is done with it. On return no hook runs or will: a late one could stop
        the request that comes next."""
        with self._changed:
            self._closed = True
            self._callbacks.clear()
            while self._calling_back:
                self._changed.wait()
