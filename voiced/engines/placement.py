"""Native threads that work together, kept on processors of their own where Linux would not do so.

A kernel in a virtual machine of KVM takes a processor that has halted for one that its host has
taken away (`vcpu_is_preempted`), and wakes a thread on the one that is awake. So after every pause
the threads of a team share one processor for tens of milliseconds, while the other is idle: Whisper
(tiny) encoded 5 s of speech in 62 ms after 0.3 s of rest, in 40 with its threads kept apart, with
2 processors of x86-64. A machine of one's own, such as a Raspberry Pi, needs none of this: there
threads go where there is room.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping


def is_virtual(cpuinfo: str) -> bool:
    """Whether /proc/cpuinfo, with this in it, is that of a virtual machine. Known of x86 only."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "")
    return "hypervisor" in flags.split()


def threads_at_work(task: Callable[[], object]) -> frozenset[int]:
    """The kernel's ids of the threads, of libraries and not of Python, that work while `task` is
    done; none where the kernel does not tell."""
    before = _worked_ns()
    task()
    after = _worked_ns()
    pythons = {thread.native_id for thread in threading.enumerate()}
    return frozenset(one for one, ns in after.items() if ns > before.get(one, 0)) - pythons


def _worked_ns() -> dict[int, int]:
    """What each thread of this process has spent on a processor, so far."""
    spent: dict[int, int] = {}
    for name in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # it has ended, or the kernel keeps no such account
            spent[int(name)] = int(Path(f"/proc/self/task/{name}/schedstat").read_text().split()[0])
    return spent


def share_out(threads: Collection[int], processors: Collection[int]) -> Mapping[int, set[int]]:
    """For each thread the processors that are its alone, as many for each as can be; nothing where
    there are not enough, or where one thread has nobody to be kept from."""
    count = len(threads)
    if not 1 < count <= len(processors):
        return {}
    ordered = sorted(processors)
    return {thread: set(ordered[place::count]) for place, thread in enumerate(sorted(threads))}


def keep_apart(threads: Collection[int]) -> None:
    """Do that with threads of this process, in a virtual machine.

    A sandbox may hide what tells it, or forbid it, and a thread may have ended: then threads run
    where the kernel likes.
    """
    with contextlib.suppress(OSError):
        if is_virtual(Path("/proc/cpuinfo").read_text("ascii", "replace")):
            for thread, processors in share_out(threads, os.sched_getaffinity(0)).items():
                os.sched_setaffinity(thread, processors)
