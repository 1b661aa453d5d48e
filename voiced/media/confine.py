"""What a process that touches foreign files takes from itself before it does.

A fault in a decoder, found by somebody who sends files, then reaches no file, no address and no
other program, and uses up neither memory nor time. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import resource

MEMORY_BYTES = 1 << 30
"""Of address space, most of which is libraries that are mapped and never read."""

_PR_SET_NO_NEW_PRIVS = 38


def confine(cpu_s: float) -> None:
    """Give up opening files and sockets, writing to files, and more than `cpu_s` of the processor.

    All that is to be imported and opened must be so by now. Beyond the processor time the kernel
    kills the process; beyond the memory `MemoryError` is raised.
    """
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    _limit(resource.RLIMIT_NOFILE, _first_free(highest))
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, max(1, round(cpu_s)))
    _limit(resource.RLIMIT_AS, MEMORY_BYTES)


def _first_free(highest: int) -> int:
    """The limit below which every number is taken: those in between are filled up."""
    null = os.open(os.devnull, os.O_RDONLY)
    while null < highest:
        null = os.dup(null)
    return max(null, highest) + 1


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))
