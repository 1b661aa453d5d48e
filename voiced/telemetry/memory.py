"""What processes take of the machine's memory, looked at rarely.

The kernel walks the page tables of a process for that, which takes milliseconds where a model is
mapped: so it is asked in a thread, and what it said is good for a while.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FRESH_S = 10.0
"""How long a reading is good: memory of engines grows over minutes, if at all."""


def read_pss(pid: int) -> int | None:
    """Proportional set size of a process in bytes: its own pages, and its share of those that it
    has in common with others (proc_pid_smaps(5)). None where it is gone, or is somebody else's."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


class MemoryReader:
    """Reads the memory of processes, and remembers it for `FRESH_S`."""

    def __init__(self, read: Callable[[int], int | None] = read_pss) -> None:
        self._read = read
        self._limiter = trio.CapacityLimiter(1)
        self._known: dict[int, int] = {}
        self._pids: tuple[int, ...] = ()
        self._read_at = -inf

    @property
    def known(self) -> Mapping[int, int]:
        """Bytes by process id, as they were when last looked at."""
        return self._known

    async def refresh(self, pids: Sequence[int], fresh_s: float = FRESH_S) -> None:
        """Look at these processes, unless that was done less than `fresh_s` ago. Cancelling waits
        for the one that is being looked at."""
        async with self._limiter:
            wanted = tuple(pids)
            fresh = trio.current_time() < self._read_at + fresh_s
            if fresh and wanted == self._pids:
                return
            known = {}
            for pid in wanted:
                # A thread of its own each time, so that leaving need not wait for all of them.
                size = await trio.to_thread.run_sync(self._read, pid)
                if size is not None:
                    known[pid] = size
            self._known, self._pids, self._read_at = known, wanted, trio.current_time()
