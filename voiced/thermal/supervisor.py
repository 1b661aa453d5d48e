"""The task that looks at the sensors once a second and tells the level to everybody.

It is no part of the core: without a sensor, with one that hangs, and after a fault of its own, the
level is unknown, that is said once, and nothing gives way.
"""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from voiced.supervision.hearts import SILENT_S
from voiced.thermal.governor import (
    Governed,
    Look,
    Note,
    PowerChange,
    SensorFound,
    SensorLost,
    check_rules,
    step,
)
from voiced.thermal.heat import Heat, Level
from voiced.thermal.sensors import read_temperature, read_throttled, throttled_bits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from voiced.settings import Thermal
    from voiced.supervision.hearts import Hearts
    from voiced.thermal.sensors import Reading

log = structlog.get_logger(__name__)

AGAIN_S = 0.2
"""A reading that is hard to believe is looked at again after this: long enough for a disturbance to
pass, and short enough that no heat is acted on a second late."""

READ_S = 0.4
"""A sensor that takes longer tells nothing. It is read in a thread, since a driver may hang."""

COMMAND = "vcgencmd"
COMMAND_S = 2.0
COMMAND_EVERY_S = 15.0
"""Starting a program costs some 5 ms of a slow core; the temperature itself is what is acted on."""


class Sensors:
    """What a supervisor looks at: each may take its time, and is called in a thread."""

    def __init__(
        self,
        source: str = "",
        *,
        temperature: Callable[[], Reading | None] | None = None,
        throttled: Callable[[], int | None] = read_throttled,
        command: str | None = None,
    ) -> None:
        """`command` is the program to ask for the bits where `throttled` tells none; by default
        `vcgencmd` if it is there."""
        self._temperature = temperature or partial(read_temperature, source=source)
        self.throttled = throttled
        self.command = shutil.which(COMMAND) if command is None else command

    def look(self) -> Look:
        """Everything that files tell. Blocks for as long as they do."""
        reading = self._temperature()
        bits = self.throttled()
        if reading is None:
            return Look(bits=bits)
        return Look(celsius=reading.celsius, source=reading.source, bits=bits)


@asynccontextmanager
async def open_thermal(rules: Thermal, hearts: Hearts) -> AsyncIterator[Heat]:
    """A `Heat` that is kept up to date for the time of the context; it is known at its start.

    With `thermal.enabled` off nobody looks, and it stays unknown. Raises `SettingsError` where
    the thresholds are not in order.
    """
    check_rules(rules)
    heat = Heat()
    async with trio.open_nursery() as nursery:
        if rules.enabled:
            await nursery.start(Supervisor(rules, heat, hearts).serve)
        yield heat
        nursery.cancel_scope.cancel(reason="the daemon stops")


class Supervisor:
    """Looks, has the governor judge, tells `heat` and the log. `polls` counts the looks."""

    def __init__(
        self, rules: Thermal, heat: Heat, hearts: Hearts, sensors: Sensors | None = None
    ) -> None:
        self._rules = rules
        self._heat = heat
        self._hearts = hearts
        self._sensors = sensors or Sensors(rules.source)
        self._state = Governed()
        self._bits: int | None = None
        self._driver_tells = False
        self._broken = False
        # An abandoned read keeps its token, so that a driver that hangs holds one thread and not
        # one more each second.
        self._threads = trio.CapacityLimiter(1)
        self.polls = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look until cancelled; started after the first look."""
        async with trio.open_nursery() as nursery:
            with self._hearts.add("thermal", SILENT_S) as heart:
                await self.look()
                task_status.started()
                if self._sensors.command:
                    nursery.start_soon(self._ask_command, self._sensors.command)
                while True:
                    await trio.sleep(self._pause_s())
                    await self.look()
                    heart.beat()

    def _pause_s(self) -> float:
        poll_s = self._rules.poll_seconds
        return poll_s if self._state.doubted is None else min(AGAIN_S, poll_s)

    async def look(self) -> None:
        """One look, and what follows from it. Raises nothing: a fault of ours makes it unknown."""
        try:
            look = await self._read()
            self._judge(look)
            self._broken = False
        except Exception:
            if not self._broken:
                log.exception("the thermal supervisor failed; nothing gives way to heat for now")
            self._broken = True
            self._state = Governed()
            self._heat.tell(Level.UNKNOWN, None, "", ("the thermal supervisor failed",))
        self.polls += 1

    async def _read(self) -> Look:
        with trio.move_on_after(READ_S):
            return await trio.to_thread.run_sync(
                self._sensors.look, abandon_on_cancel=True, limiter=self._threads
            )
        return Look()

    def _judge(self, look: Look) -> None:
        self._driver_tells |= look.bits is not None
        if look.bits is None and self._bits is not None:
            look = Look(celsius=look.celsius, source=look.source, bits=self._bits)
        self._state, notes = step(self._rules, self._state, look, trio.current_time())
        state = self._state
        known = state.base is not Level.UNKNOWN
        self._heat.tell(
            state.level,
            state.celsius if known else None,
            state.source if known else "",
            state.reasons,
        )
        for note in notes:
            tell(note)

    async def _ask_command(self, command: str) -> None:
        """Ask the firmware now and then, until it turns out that it cannot be asked, or that the
        driver tells, which costs nothing. Raises nothing."""
        answered = False
        try:
            while not self._driver_tells:
                self._bits = await ask_throttled(command)
                if self._bits is None and not answered:
                    log.info("the firmware does not tell whether it throttles", command=command)
                    return
                answered = True  # one that is late, on a busy machine, is asked again
                await trio.sleep(COMMAND_EVERY_S)
        except Exception:
            log.exception("the firmware is not asked any more", command=command)
        finally:
            self._bits = None


async def ask_throttled(command: str) -> int | None:
    """The bits as `vcgencmd` tells them; None where it cannot, or takes too long."""
    with trio.move_on_after(COMMAND_S):
        try:
            done = await trio.run_process(
                [command, "get_throttled"], capture_stdout=True, capture_stderr=True, check=False
            )
        except OSError:
            return None
        return throttled_bits(done.stdout.decode("ascii", "replace"))
    return None


def tell(note: Note) -> None:
    """One log event for each change."""
    match note:
        case SensorLost():
            log.warning("no sensor tells the temperature", last=note.source or None)
        case SensorFound():
            log.info("found the temperature sensor", source=note.source)
        case PowerChange(weak=True):
            log.warning("the power supply is too weak")
        case PowerChange():
            log.info("the power supply is strong enough again")
        case _:
            write = log.warning if note.after > max(note.before, Level.WARM) else log.info
            write(
                "heat level changed",
                before=note.before.word,
                now=note.after.word,  # "level" is the line's own
                celsius=None if note.celsius is None else round(note.celsius, 1),
                reason=note.reason,
            )
