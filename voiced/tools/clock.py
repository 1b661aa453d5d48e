"""The tools `get_time` and `get_date`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.tools.toolbox import Services, ToolContext

_NO_PARAMETERS: Mapping[str, Any] = {
    "type": "object",
    "properties": {},
    "additionalProperties": False,
}


def local_now() -> datetime:
    """The time here, with the zone that this machine is set to."""
    return datetime.now().astimezone()


class GetTime:
    """Tells the time of day."""

    name = "get_time"
    description = "The time of day here, as HH:MM on the 24-hour clock."
    parameters = _NO_PARAMETERS

    def __init__(self, services: Services) -> None:
        self._now = services.now

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `time` (`14:05`), `timezone` (`CET`, `+01:00`)."""
        now = self._now()
        return {"ok": True, "time": f"{now:%H:%M}", "timezone": now.tzname() or ""}


class GetDate:
    """Tells the date."""

    name = "get_date"
    description = "Today's date here, as YYYY-MM-DD, and its weekday."
    parameters = _NO_PARAMETERS

    def __init__(self, services: Services) -> None:
        self._now = services.now

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `date` (`2026-11-20`), `weekday` (1 is Monday)."""
        now = self._now()
        return {"ok": True, "date": now.date().isoformat(), "weekday": now.isoweekday()}
