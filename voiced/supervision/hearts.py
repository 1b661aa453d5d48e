"""Hearts: each long-lived task beats where real work happens, and falls stale when it stops."""

from __future__ import annotations

import trio

BEAT_S = 5.0
"""How long a loop with a heart waits at most for what may not come for hours: then it goes round
once more, and beats because it did."""

SILENT_S = 30.0
"""Without a beat for this long, such a loop is stuck."""


class Heart:
    """One task's sign of life; made by `Hearts.add`, closed by the task that owns it."""

    __slots__ = ("_beaten_at", "_hearts", "name", "stale_s")

    def __init__(self, hearts: Hearts, name: str, stale_s: float) -> None:
        self._hearts = hearts
        self._beaten_at = trio.current_time()
        self.name = name
        self.stale_s = stale_s

    def beat(self) -> None:
        """Work was done just now. Costs next to nothing; call it where the work is, no timer."""
        self._beaten_at = trio.current_time()

    def age_s(self) -> float:
        """Seconds since the last beat, or since the heart was added."""
        return trio.current_time() - self._beaten_at

    def close(self) -> None:
        """The task ended on purpose and is no longer watched. Closing twice is fine."""
        self._hearts.drop(self)

    def __enter__(self) -> Heart:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Hearts:
    """All hearts of the daemon. The watchdog is fed only while none is stale."""

    __slots__ = ("_hearts",)

    def __init__(self) -> None:
        self._hearts: list[Heart] = []

    def add(self, name: str, stale_s: float) -> Heart:
        """Watch a task: without a beat for more than `stale_s` seconds it counts as stuck.

        Adding counts as the first beat. Several hearts may have one name. The heart is a context
        manager too, which closes it.
        """
        heart = Heart(self, name, stale_s)
        self._hearts.append(heart)
        return heart

    def drop(self, heart: Heart) -> None:
        """Stop watching `heart`; nothing happens where it is not watched."""
        if heart in self._hearts:
            self._hearts.remove(heart)

    def stale(self) -> list[str]:
        """The names of the hearts that have stopped, in the order they were added."""
        return [heart.name for heart in self._hearts if heart.age_s() > heart.stale_s]

    def limits_s(self) -> dict[str, float]:
        """The age by name beyond which it is stale; of several with one name, the lowest."""
        limits: dict[str, float] = {}
        for heart in self._hearts:
            limits[heart.name] = min(limits.get(heart.name, heart.stale_s), heart.stale_s)
        return limits

    def ages_s(self) -> dict[str, float]:
        """Seconds since the last beat by name; of several with one name, the oldest."""
        ages: dict[str, float] = {}
        for heart in self._hearts:
            ages[heart.name] = max(ages.get(heart.name, 0.0), heart.age_s())
        return ages
