"""How warm it is, and that this has changed: in what words the parts speak of heat. Pure."""

from __future__ import annotations

import enum

import msgspec


class Level(enum.IntEnum):
    """What has to give way, from nothing to all that is no conversation.

    Compare them with `<` and `>=`: unknown lies below normal, so that a machine without a sensor
    sheds nothing.
    """

    UNKNOWN = 0
    NORMAL = 1
    WARM = 2
    HOT = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """Its name on every wire: `unknown`, `normal`, `warm`, `hot`, `critical`."""
        return self.name.lower()


class HeatChange(msgspec.Struct, frozen=True):
    """The level changed. `reason` is a clause for people; `celsius` is None where nothing tells."""

    before: Level
    after: Level
    celsius: float | None
    reason: str


class HeatState(msgspec.Struct, frozen=True, kw_only=True):
    """How warm the processor is: `level` is unknown, normal, warm, hot or critical, `celsius` is
    null where no sensor tells, and `words` says to a person what that means for them."""

    level: str
    celsius: float | None
    words: str
