"""What a tree of processes uses, read from /proc by psutil."""

from __future__ import annotations

from pathlib import Path

import msgspec
import psutil


class Usage(msgspec.Struct, frozen=True):
    """A tree of processes at one moment.

    `pss_bytes` counts shared pages by their share: what the tree costs the machine. It falls
    when something else on the machine maps the same libraries. `uss_bytes` are its private
    pages alone. `heap_bytes` are anonymous pages, heaps and stacks: what growth is to be read
    from, since the pages of a library change from private to shared and back with the other
    processes of the machine. `root_heap_bytes` are those of the first process.
    """

    processes: int
    threads: int
    descriptors: int
    pss_bytes: int
    uss_bytes: int
    heap_bytes: int
    root_heap_bytes: int
    cpu_s: float


def anonymous_bytes(pid: int) -> int:
    """Anonymous memory of a process that is in RAM; `psutil.NoSuchProcess` where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError) as exc:
        raise psutil.NoSuchProcess(pid) from exc
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024


def measure_tree(pid: int) -> Usage:
    """Sum the process `pid` and all its descendants; one that ends meanwhile is left out.

    CPU time of descendants that have ended and were waited for is counted too. Raises
    `psutil.NoSuchProcess` where `pid` itself is gone. Takes some milliseconds a process.
    """
    root = psutil.Process(pid)
    processes = threads = descriptors = pss = uss = heap = root_heap = 0
    cpu_s = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            with process.oneshot():
                times = process.cpu_times()
                memory = process.memory_full_info()
                anonymous = anonymous_bytes(process.pid)
                count = process.num_threads()
                fds = process.num_fds()
        except psutil.NoSuchProcess:
            if process == root:
                raise
            continue
        processes += 1
        threads += count
        descriptors += fds
        pss += memory.pss
        uss += memory.uss
        heap += anonymous
        if process == root:
            root_heap = anonymous
        cpu_s += times.user + times.system + times.children_user + times.children_system
    return Usage(processes, threads, descriptors, pss, uss, heap, root_heap, cpu_s)
