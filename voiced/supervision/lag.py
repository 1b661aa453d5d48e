"""The loop-lag instrument: how late a task wakes that asked to be woken.

Everything in the daemon shares one thread, so whatever blocks it delays every session alike, and
shows here first. A second thread would see the culprit in the act but wants the GIL itself; the
hint given instead is what the trio instrument saw run longest since the last sample.
"""

from __future__ import annotations

from collections import deque
from math import inf
from time import perf_counter

import msgspec
import structlog
import trio

from voiced.telemetry.distribution import Distribution

# 20 samples a second cost 0.1 % of a core, and find a stall of 50 ms every time.
PERIOD_S = 0.05
# A minute at that rate: 1,200 floats.
WINDOW = 1200
# A wake that is later than what the clients have in hand (session.audio_lead_ms) can be heard as a
# gap. Less is a moment of a busy machine, and tells of a fault of ours only where it goes on.
BAD_MS = 400.0
# From a moment to what is heard as a gap, and beyond.
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 1.0, 5.0)
LASTING, LASTING_S = 20, 10.0
# Warnings are bounded too: a loop that is late all the time says so after twice as long each time.
WARN_EVERY_S = (10.0, 600.0)


class Lag(msgspec.Struct, frozen=True):
    """Lateness over the window, in milliseconds; all 0 where there was no sample yet."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    samples: int


class Alarm:
    """Decides which late wakes are worth a warning: one that is bad, and small ones that go on.

    Bad is `BAD_MS`, and to go on is `LASTING` wakes of `warn_ms` or more within `LASTING_S`.
    Sans-I/O.
    """

    __slots__ = ("_late", "_quiet_until", "_wait_s", "_warn_ms", "missed")

    def __init__(self, warn_ms: float) -> None:
        self._warn_ms = warn_ms
        self._late: deque[float] = deque(maxlen=LASTING)
        self._quiet_until = -inf
        self._wait_s = WARN_EVERY_S[0]
        #: Late wakes since the last warning, this one included.
        self.missed = 0

    def judge(self, now: float, lag_ms: float) -> bool:
        """Whether to warn of this wake."""
        if lag_ms < self._warn_ms:
            return False
        self.missed += 1
        self._late.append(now)
        goes_on = len(self._late) == LASTING and now - self._late[0] <= LASTING_S
        if not (goes_on or lag_ms >= BAD_MS) or now < self._quiet_until:
            return False
        first_s, most_s = WARN_EVERY_S
        # Still so soon after the last warning could be repeated: it is the same trouble.
        same = now < self._quiet_until + self._wait_s
        self._wait_s = min(2 * self._wait_s, most_s) if same else first_s
        self._quiet_until = now + self._wait_s
        return True


class LagMeter:
    """Measures the lag of the loop it runs in. `serve` is the task, `read` the result so far."""

    __slots__ = ("_alarm", "_samples", "_slowest", "lateness", "period_s")

    def __init__(
        self, *, warn_ms: float = 100.0, period_s: float = PERIOD_S, window: int = WINDOW
    ) -> None:
        self._samples: deque[float] = deque(maxlen=window)
        self._slowest = _SlowestStep()
        self._alarm = Alarm(warn_ms)
        #: Of all wakes since the start; what `reset` forgets is still in there.
        self.lateness = Distribution(BOUNDS_S, recent=0)
        self.period_s = period_s

    def read(self) -> Lag:
        """The window as it is now. Sorts it: for metrics and benches, not for every message."""
        ordered = sorted(self._samples)
        if not ordered:
            return Lag(0.0, 0.0, 0.0, 0)
        last = len(ordered) - 1
        return Lag(
            p50_ms=ordered[round(0.50 * last)],
            p99_ms=ordered[round(0.99 * last)],
            max_ms=ordered[last],
            samples=len(ordered),
        )

    def reset(self) -> None:
        """Forget the window."""
        self._samples.clear()

    async def serve(
        self,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Measure until cancelled.

        Logs `wake late`, with the task that held the loop longest and how many wakes were late
        since the last such line, where `Alarm` says so.
        """
        log = structlog.get_logger("voiced.supervision")
        trio.lowlevel.add_instrument(self._slowest)
        try:
            task_status.started()
            while True:
                due = trio.current_time() + self.period_s
                await trio.sleep_until(due)
                now = trio.current_time()
                lag_ms = max(0.0, (now - due) * 1000)
                self._samples.append(lag_ms)
                self.lateness.add(lag_ms / 1000)
                task, held_ms = self._slowest.take()
                if self._alarm.judge(now, lag_ms):
                    log.warning(
                        "wake late",
                        lag_ms=round(lag_ms, 1),
                        task=task,
                        held_ms=round(held_ms, 1),
                        times=self._alarm.missed,
                    )
                    self._alarm.missed = 0
        finally:
            trio.lowlevel.remove_instrument(self._slowest)


class _SlowestStep(trio.abc.Instrument):
    """Remembers which task held the loop longest in one step. Costs some 0.8 us a step."""

    def __init__(self) -> None:
        self._began = inf  # of the step that adds the instrument, nobody knows when it began
        self._longest_s = 0.0
        self._name = ""

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began = perf_counter()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        held_s = perf_counter() - self._began
        if held_s > self._longest_s:
            self._longest_s = held_s
            self._name = task.name

    def take(self) -> tuple[str, float]:
        """The task's name and the milliseconds it held the loop; begins anew."""
        result = self._name, self._longest_s * 1000
        self._longest_s = 0.0
        self._name = ""
        return result
