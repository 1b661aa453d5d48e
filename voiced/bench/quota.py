"""A cgroup of the bench's own, in which processes get only a share of the processor's time."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voiced.errors import VoicedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PERIOD_US: Final = 10_000
"""The kernel's own 100 ms would let processes run at full speed and then stand still for 40 ms.
With 10 ms a quota resembles a slower clock, as far as it can."""

_REMOVE_S: Final = 5.0
_LOOK_S: Final = 0.02


class QuotaUnavailable(VoicedError):
    """There is no cgroup in which this process may limit the processor's time."""

    code = "quota_unavailable"


class CpuGroup:
    """One cgroup, of either version. Made by `open_cpu_group`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unified = (path / "cpu.max").exists()

    def favour(self) -> None:
        """Let it go before everything outside, as far as its limit allows: what else runs on the
        machine then disturbs less, and no quota is short of anybody to limit."""
        name, most = ("cpu.weight", 10_000) if self._unified else ("cpu.shares", 262_144)
        (self.path / name).write_text(str(most))

    def add(self, pid: int) -> None:
        """Take in a process with all its threads; what it starts from then on is in it, too."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, cores: float | None) -> None:
        """Allow the time of so many cores, such as 0.625; None allows all there is."""
        quota = None if cores is None else round(cores * PERIOD_US)
        if self._unified:
            (self.path / "cpu.max").write_text(f"{'max' if quota is None else quota} {PERIOD_US}")
            return
        (self.path / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (self.path / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota))

    def periods_at_limit(self) -> int:
        """In how many periods processes in it have had to wait for the next one."""
        told = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
        return int(told["nr_throttled"])


@contextmanager
def open_cpu_group(parents: Sequence[Path] | None = None) -> Iterator[CpuGroup]:
    """A fresh group without a limit, removed at the end, when what was in it has ended.

    Raises `QuotaUnavailable` where none can be made: that takes root or a delegated cgroup.
    """
    name = f"voiced-bench-{os.getpid()}"
    faults = []
    for parent in find_parents() if parents is None else parents:
        path = parent / name
        try:
            path.mkdir()
        except OSError as error:
            faults.append(f"{parent}: {error.strerror}")
            continue
        try:
            if not any((path / file).exists() for file in ("cpu.max", "cpu.cfs_quota_us")):
                faults.append(f"{parent}: no cpu controller")
                continue
            yield CpuGroup(path)
            return
        finally:
            remove(path)
    tried = "; ".join(faults) or "no cgroup file system is mounted"
    raise QuotaUnavailable(
        "a limit of the processor's time takes root or a delegated cgroup, as by "
        f"`systemd-run --user --scope -p Delegate=yes`; tried {tried}"
    )


def remove(path: Path) -> None:
    """Remove a group once the last process in it is gone."""
    give_up_at = time.monotonic() + _REMOVE_S
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_LOOK_S)  # what was killed takes a moment to leave
        else:
            return


def find_parents(
    mounts: Path = Path("/proc/self/mountinfo"), own: Path = Path("/proc/self/cgroup")
) -> list[Path]:
    """Groups in which one with a limit might be made, the own ones first."""
    found = []
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(maxsplit=2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            place = Path(before.split()[4])
            inside = own_group(own.read_text(), "" if kind == "cgroup2" else "cpu")
            here = place / inside.lstrip("/")
            # Version 2 gives controllers to the children of a group without processes only, and
            # the group of this process has at least one.
            found += [enabled(here.parent), here] if kind == "cgroup2" and inside != "/" else [here]
            found.append(place)
    return list(dict.fromkeys(found))


def own_group(text: str, controller: str) -> str:
    """The group of this process for a controller, or, for "", in the unified hierarchy."""
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    return "/"


def enabled(parent: Path) -> Path:
    """`parent`, with the controller for its children where that may be done."""
    with suppress(OSError):
        (parent / "cgroup.subtree_control").write_text("+cpu")
    return parent
