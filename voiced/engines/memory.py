"""How much memory an engine may still take, before it loads a model.

Source: proc(5), `MemAvailable`; the kernel's document of cgroup v2, `memory.max`.
"""

from __future__ import annotations

from pathlib import Path

_RECLAIMABLE = ("active_file ", "inactive_file ")


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that a process may still take: of the machine, and of its control group. That is what
    can be had without swapping, caches that can be let go included."""
    free = _meminfo(root / "proc/meminfo", "MemAvailable:")
    for limit, used in _group_limits(root):
        free = min(free, max(0, limit - used))
    return free


def whole_memory(root: Path = Path("/")) -> int:
    """Bytes of memory that the machine has, or its control group may take, free or not."""
    total = _meminfo(root / "proc/meminfo", "MemTotal:")
    return min([total, *(limit for limit, _ in _group_limits(root))])


def _meminfo(path: Path, key: str) -> int:
    for line in path.read_text("ascii", "replace").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 1 << 62


def _group_limits(root: Path) -> list[tuple[int, int]]:
    """Limit and use of each control group (v2) that we are in and that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return []
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    mounted = root / "sys/fs/cgroup"
    found = []
    place = mounted / group.strip("/")
    while True:
        limit, used = _number(place / "memory.max"), _unreclaimable(place)
        if limit is not None and used is not None:
            found.append((limit, used))
        if place in (mounted, mounted.parent):
            return found
        place = place.parent


def _unreclaimable(place: Path) -> int | None:
    """What a group uses without the files that the kernel could let go."""
    used = _number(place / "memory.current")
    if used is None:
        return None
    try:
        lines = (place / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return used
    # Not `file`, which counts what lies in tmpfs, too: nobody can let that go.
    cached = [int(line.split()[1]) for line in lines if line.startswith(_RECLAIMABLE)]
    return max(0, used - sum(cached))


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
