"""systemd's watchdog, fed only while every heart beats."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.supervision.hearts import Hearts
    from voiced.systemd.notify import Notifier


def watchdog_s(environ: Mapping[str, str] = os.environ, pid: int | None = None) -> float | None:
    """Seconds within which systemd wants to hear from this process; None where it does not.

    `WATCHDOG_USEC` counts only where `WATCHDOG_PID` is absent or names this process (`pid`, by
    default our own), as sd_watchdog_enabled(3) has it.
    """
    try:
        usec = int(environ.get("WATCHDOG_USEC", ""))
        meant = int(environ.get("WATCHDOG_PID") or (os.getpid() if pid is None else pid))
    except ValueError:
        return None
    if usec <= 0 or meant != (os.getpid() if pid is None else pid):
        return None
    return usec / 1e6


class Watchdog:
    """Pings systemd at a third of its interval while no heart is stale.

    When one is, it falls silent and says which; unless the heart recovers, systemd ends the
    process with SIGABRT (whose stacks `faulthandler` prints) and starts it anew.
    """

    __slots__ = ("_hearts", "_notifier", "interval_s")

    def __init__(self, notifier: Notifier, hearts: Hearts, interval_s: float | None) -> None:
        self._notifier = notifier
        self._hearts = hearts
        self.interval_s = interval_s

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; returns at once where `interval_s` is None (see `watchdog_s`)."""
        task_status.started()
        if self.interval_s is None:
            return
        log = structlog.get_logger("voiced.systemd")
        silent: list[str] = []
        while True:
            stale = self._hearts.stale()
            if not stale:
                self._notifier.watchdog()
            if stale != silent:
                if stale:
                    log.error("stop feeding the watchdog", stale=stale)
                else:
                    log.warning("feed the watchdog again", recovered=silent)
                silent = stale
            await trio.sleep(self.interval_s / 3)
