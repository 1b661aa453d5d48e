"""Whether the processor is cool enough for work that may turn out to be for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio

from voiced.thermal.sensors import read_temperature

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.thermal.sensors import Reading

log = structlog.get_logger(__name__)

WARM_C = 75.0
"""From here on nothing is done in advance: the firmware slows the processor at 80 C."""

COOL_C = 70.0
"""Below this it is done again; between the two it stays as it is, so that it does not flicker."""

LOOK_S = 5.0


class Warmth:
    """`is_cool` is True as well where no sensor tells: then heat cannot be known."""

    def __init__(self, read: Callable[[], Reading | None] = read_temperature) -> None:
        self._read = read
        self._warm = False

    def is_cool(self) -> bool:
        """As of the last look."""
        return not self._warm

    def look(self) -> None:
        """Read the temperature. Takes well under a millisecond."""
        reading = self._read()
        was = self._warm
        if reading is None:
            self._warm = False
        else:
            self._warm = reading.celsius >= (COOL_C if was else WARM_C)
        if self._warm != was:
            word = "stopped" if self._warm else "resumed"
            celsius = None if reading is None else round(reading.celsius, 1)
            log.info(f"speculation {word}", celsius=celsius)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look now and every few seconds, until cancelled."""
        self.look()
        task_status.started()
        while True:
            await trio.sleep(LOOK_S)
            self.look()
