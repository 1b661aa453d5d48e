"""Native calls that nothing can stop, made so that the request need not wait for their end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.engines.ports import Work

T = TypeVar("T")


class GivenUp(Exception):
    """Nobody waits for this any more, though the request goes on."""


class Turns:
    """Lets the calls of all requests run one at a time, which they would inside the library."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, call: _Call) -> None:
        """Run the call when it is its turn, unless nobody waits for it any more."""
        with self._lock:
            if not call.abandoned:
                call.run()


class _Call:
    def __init__(self, task: Callable[[], object], woken: threading.Event) -> None:
        self._task = task
        self._woken = woken
        self.result: object = None
        self.error: BaseException | None = None
        self.done = False
        self.abandoned = False

    def run(self) -> None:
        try:
            self.result = self._task()
        except BaseException as exc:  # raised again where it is waited for
            self.error = exc
        self.done = True
        self._woken.set()


class Caller:
    """Makes the calls of one request, each on a thread of its own.

    A cancel is answered at once. The call that was under way goes on to its end, and the next
    one, whoever makes it, waits for that; so there is never more than one too many.
    """

    def __init__(self, work: Work, turns: Turns) -> None:
        self._work = work
        self._turns = turns
        self._woken = threading.Event()
        work.on_cancel(self._woken.set)

    def __call__(self, task: Callable[[], T]) -> T:
        """The result of `task`. Raises what it raises, and `WorkCancelled`."""
        self._work.raise_if_cancelled()
        call = _Call(task, self._woken)
        threading.Thread(target=self._turns.take, args=(call,), daemon=True).start()
        while not call.done:
            self._woken.wait()
            self._woken.clear()
            if self._work.cancelled:
                call.abandoned = True
                self._work.raise_if_cancelled()
        if call.error is not None:
            raise call.error
        return call.result  # type: ignore[return-value]


class HastyCaller(Caller):
    """Makes the calls behind an answer, until there is a newer question."""

    def __call__(self, task: Callable[[], T]) -> T:
        """As `Caller` does; raises `GivenUp` too."""
        if self._work.asked_anew:
            raise GivenUp
        return super().__call__(task)
