"""The tools `set_timer`, `cancel_timer` and `timer_status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiced.tools.timers import LONGEST_S, SHORTEST_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.tools.toolbox import Services, ToolContext

_NO_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}
_NO_TIMER: Mapping[str, Any] = {
    "ok": False,
    "error": "no_timer",
    "message": "there is no timer running",
}


class SetTimer:
    """Starts the timer."""

    name = "set_timer"
    description = (
        "Start the timer, in place of one that is running. Hours, minutes and seconds are added"
        " up and may be fractions."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            unit: {"type": "number", "minimum": 0, "maximum": LONGEST_S}
            for unit in ("hours", "minutes", "seconds")
        },
        "additionalProperties": False,
    }

    def __init__(self, services: Services) -> None:
        self._timers = services.timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `duration_s`; `status` is `replaced`, with `replaced_s` that were left, where
        one was running. Error: bad_duration."""
        sizes = {"hours": 3_600, "minutes": 60, "seconds": 1}
        duration_s = sum(arguments.get(unit, 0) * size for unit, size in sizes.items())
        if not SHORTEST_S <= duration_s <= LONGEST_S:
            message = f"a timer takes from {SHORTEST_S:.0f} to {LONGEST_S:.0f} seconds"
            return {"ok": False, "error": "bad_duration", "message": message}
        before = self._timers.set(duration_s, context.session_id)
        if before is None:
            return {"ok": True, "duration_s": duration_s}
        replaced_s = round(before.remaining_s)
        return {
            "ok": True, "status": "replaced", "duration_s": duration_s, "replaced_s": replaced_s
        }  # fmt: skip


class CancelTimer:
    """Stops the timer."""

    name = "cancel_timer"
    description = "Cancel the running timer."
    parameters = _NO_PARAMETERS

    def __init__(self, services: Services) -> None:
        self._timers = services.timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `remaining_s` that were left. Error: no_timer."""
        before = self._timers.cancel()
        if before is None:
            return _NO_TIMER
        return {"ok": True, "remaining_s": round(before.remaining_s)}


class TimerStatus:
    """Tells how much of the timer is left."""

    name = "timer_status"
    description = "How many seconds are left of the running timer, and how long it takes in all."
    parameters = _NO_PARAMETERS

    def __init__(self, services: Services) -> None:
        self._timers = services.timers

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `duration_s`, `remaining_s`. Error: no_timer."""
        running = self._timers.running
        if running is None:
            return _NO_TIMER
        remaining_s = round(running.remaining_s)
        return {"ok": True, "duration_s": running.duration_s, "remaining_s": remaining_s}
