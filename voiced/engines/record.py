"""What an engine did so far: how long its requests took, and what went wrong lately.

Written where it happens, by the dispatcher, the keeper and the providers, and read by whoever wants
to know: `/v1/engines` and `/metrics`.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Literal

import msgspec

from voiced.engines.ports import PREFILL, Priority
from voiced.errors import EngineBusy, EnginePreempted, TooHot
from voiced.telemetry.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from voiced.errors import VoicedError

Stage = Literal["queue_wait", "first_part", "whole", "prefill"]
"""`queue_wait`: from the arrival of a request, or from when it was displaced, until its run began.
`first_part`: from there to the first text or sound; there is none where audio is streamed into it.
`whole`: from there, or from the end of the audio that came in meanwhile, to the result.
`prefill`: the same, of a conversation that was only read ahead."""

BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""From a template that is filled in to a language model on a small machine."""

WARNINGS = 20
"""Warnings kept of each engine; the same one again takes no further place."""


class Timings:
    """How long the requests of one engine took, by stage and priority."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        self._series: dict[tuple[Stage, Priority], Distribution] = {}

    def add(self, stage: Stage, priority: Priority, seconds: float) -> None:
        """One request got so far. `priority` is what it was served at."""
        series = self._series.get((stage, priority))
        if series is None:
            series = self._series[stage, priority] = Distribution(BOUNDS_S)
        series.add(seconds)

    def read(self) -> Iterator[tuple[Stage, Priority, Distribution]]:
        """All that there were, in order of their names."""
        for stage, priority in sorted(self._series):
            yield stage, priority, self._series[stage, priority]


class EngineWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong: `code` for machines, words for people, without what was said or
    heard. `time` is in seconds since 1970; of one that came again, the last time."""

    code: str
    message: str
    time: float
    times: int = 1


class Record:
    """All of this of one engine. Bounded; nothing in it waits."""

    __slots__ = ("_warnings", "clock", "failures", "on_warning", "timings")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.timings = Timings()
        self.failures: Counter[str] = Counter()
        """Requests that failed, by the code of their error."""
        self._warnings: deque[EngineWarning] = deque(maxlen=WARNINGS)
        #: Called with the code and the words of each warning; must neither wait nor raise.
        self.on_warning: Callable[[str, str], None] = lambda code, message: None

    @property
    def warnings(self) -> tuple[EngineWarning, ...]:
        """The last ones, oldest first."""
        return tuple(self._warnings)

    def note_failure(self, error: VoicedError) -> None:
        """A request failed. Where that is no fault of what was asked, and not as it should be, it
        is also a warning."""
        self.failures[error.code] += 1
        as_it_should = isinstance(error, EnginePreempted | TooHot)
        if isinstance(error, EngineBusy) or (error.status >= 500 and not as_it_should):
            self.warn(error.code, error.public)

    def warn(self, code: str, message: str) -> None:
        """Something went wrong."""
        times = 1
        for known in self._warnings:
            if known.code == code and known.message == message:
                self._warnings.remove(known)
                times += known.times
                break
        self._warnings.append(
            EngineWarning(code=code, message=message, time=time.time(), times=times)
        )
        self.on_warning(code, message)


class Watch:
    """Takes the times of one request, for the record of its engine."""

    __slots__ = ("_record", "_since")

    def __init__(self, record: Record) -> None:
        self._record = record
        self._since = record.clock()

    def begin(self) -> None:
        """What is timed next begins now: another wait, or the work on audio that is whole."""
        self._since = self._record.clock()

    def run(self, priority: Priority) -> None:
        """Its wait is over and its run begins."""
        self._add("queue_wait", priority)
        self.begin()

    def first_part(self, priority: Priority) -> None:
        """There is something to read or to hear."""
        self._add("first_part", priority)

    def done(self, op: str, priority: Priority) -> None:
        """Its result is there."""
        self._add("prefill" if op == PREFILL else "whole", priority)

    def fail(self, error: VoicedError) -> None:
        """There will be none."""
        self._record.note_failure(error)

    def _add(self, stage: Stage, priority: Priority) -> None:
        self._record.timings.add(stage, priority, self._record.clock() - self._since)
