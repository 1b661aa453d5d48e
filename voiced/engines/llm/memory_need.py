"""Whether a language model fits the memory that is free, before it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voiced.errors import ModelError

if TYPE_CHECKING:
    from voiced.models.gguf import GgufFile

WORKING_BYTES = 96 << 20
"""For the library, its buffers and the interpreter: an allowance. A model with a vocabulary of
150,000 and a batch of 128 was seen to use 85 MB beside its weights and its context."""

MIB = 1 << 20


def check_memory(file: GgufFile, context: int, free_bytes: int) -> None:
    """Raise `ModelError` where weights, `context` tokens and working memory exceed what is free."""
    kv = file.kv_bytes(context)
    need = file.size_bytes + kv + WORKING_BYTES
    if need <= free_bytes:
        return
    raise ModelError(
        f"the GGUF model {file.path} needs about {need // MIB + 1:,} MiB "
        f"({file.size_bytes // MIB + 1:,} for itself, {kv // MIB + 1:,} for {context:,} tokens of "
        f"context), and {free_bytes // MIB:,} MiB are free; choose a smaller one, or lower "
        "llm.context or llm.conversations"
    )


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that a process may still take: of the machine, and of its control group."""
    free = _available(root / "proc/meminfo")
    for limit, used in _group_limits(root):
        free = min(free, max(0, limit - used))
    return free


def _available(meminfo: Path) -> int:
    """`MemAvailable`: what can be had without swapping, caches that can be let go included."""
    for line in meminfo.read_text("ascii", "replace").splitlines():
        if line.startswith("MemAvailable:"):
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
    cached = next((int(line.split()[1]) for line in lines if line.startswith("file ")), 0)
    return max(0, used - cached)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
