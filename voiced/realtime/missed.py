"""When to look for what nobody was there to hear, such as a timer that was over in a restart."""

from __future__ import annotations

from math import inf

MISSED_AFTER_S = 10.0
"""How long someone has to be there before hearing what was missed."""

MISSED_AGAIN_S = 600.0
"""What could not be told is tried again after 10 s, then after twice as long, up to this."""


class Missed:
    """The next look of one session. Its owner waits until `due`, and then asks `is_due`."""

    __slots__ = ("_wait_s", "due")

    def __init__(self) -> None:
        self._wait_s = MISSED_AFTER_S
        self.due = inf

    def look(self, now: float) -> None:
        """Look once somebody has had time to go."""
        self.due = min(self.due, now + MISSED_AFTER_S)

    def look_again(self, now: float) -> None:
        """What was told here was not heard: wait longer each time."""
        self.due = min(self.due, now + self._wait_s)
        self._wait_s = min(2 * self._wait_s, MISSED_AGAIN_S)

    def is_due(self, now: float) -> bool:
        """Whether to look now; once for each time that it was due."""
        if now < self.due:
            return False
        self.due = inf
        return True
