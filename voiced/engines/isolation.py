"""What an engine's process does to itself before it loads anything: pipes, signals, limits.

Linux only, as voiced is. Imported in the child alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path

PARENT_PID = "VOICED_PARENT_PID"
"""Environment variable in which the daemon tells its child who the parent should be."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_OOM_SCORE_ADJ = 200


def reserve_stdio() -> tuple[int, int]:
    """Move the frame pipes away from fds 0 and 1; return them as (requests, answers).

    A native library that prints then writes to the log, not into a frame, and one that reads
    stdin sees its end. Neither pipe is inherited by what an engine may start.
    """
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, answers


def die_with_parent() -> None:
    """Have the kernel kill this process when the daemon dies; exit if it has died already."""
    if _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL)) != 0:
        return  # forbidden by a sandbox: the end of the request pipe remains as the guard
    parent = os.environ.get(PARENT_PID, "")
    if parent.isdigit() and os.getppid() != int(parent):
        os._exit(1)


def leave_signals_to_parent() -> None:
    """Ignore SIGINT and SIGTERM.

    A service manager signals the whole control group at once; the daemon drains first, still
    speaking, and then ends its engines itself.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def name_process(name: str) -> None:
    """Set the name that `ps -o comm`, `top` and the journal show; 15 bytes of it are kept."""
    buffer = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(_PR_SET_NAME, ctypes.addressof(buffer))


def lower_priority(nice: int) -> None:
    """Be nicer by `nice` levels, and a likelier victim than the daemon when memory runs out.

    Called before any thread is started: on Linux each thread has a nice level of its own,
    inherited from the one that starts it.
    """
    with contextlib.suppress(OSError):
        os.nice(nice)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE_ADJ))


def _prctl(option: int, argument: int) -> int:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    prctl.restype = ctypes.c_int
    return int(prctl(option, argument, 0, 0, 0))
