"""How much memory an engine may take, on machines made of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.engines.memory import free_memory, whole_memory

if TYPE_CHECKING:
    from pathlib import Path


def machine(root: Path, *, available_kb: int, group: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {available_kb} kB\n")
    (root / "proc/self/cgroup").write_text(f"0::{group}\n")
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_free_memory_is_what_the_kernel_says(tmp_path: Path) -> None:
    assert free_memory(machine(tmp_path, available_kb=1000, group="/", files={})) == 1_024_000


def test_a_limit_of_any_group_above_counts(tmp_path: Path) -> None:
    files = {
        "a/memory.max": "500000",
        "a/memory.current": "400000",
        "a/memory.stat": (
            "anon 60000\nfile 340000\nshmem 40000\ninactive_file 200000\nactive_file 100000\n"
        ),
        "a/b/memory.max": "max",
        "a/b/memory.current": "1",
    }
    root = machine(tmp_path, available_kb=1000, group="/a/b", files=files)
    assert free_memory(root) == 400_000
    assert whole_memory(root) == 99 * 1024
    outside = machine(tmp_path / "other", available_kb=1000, group="/../..", files={})
    assert free_memory(outside) == 1_024_000


def test_the_memory_of_a_group_is_what_it_may_take(tmp_path: Path) -> None:
    files = {"a/memory.max": "50000", "a/memory.current": "40000"}
    assert whole_memory(machine(tmp_path, available_kb=1, group="/a", files=files)) == 50_000


def test_this_machine_has_memory() -> None:
    assert 0 < free_memory() <= whole_memory()
