"""`voiced bench heat`: the quota, and what is made of the turns, on scripted peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.test_turn_figures import CLIP, answer
from tests.client.scripted_peer import serve_script
from voiced.bench.daemon import Daemon
from voiced.bench.heat import SLOWED, SlowTurn, measure_heat, summarise_turns
from voiced.bench.quota import (
    PERIOD_US,
    CpuGroup,
    QuotaUnavailable,
    find_parents,
    open_cpu_group,
    own_group,
)
from voiced.bench.run_heat import print_report
from voiced.errors import VoicedError


def group_of(folder: Path, *, unified: bool) -> CpuGroup:
    """A directory with the files of a group, of either version."""
    for name in ("cpu.max",) if unified else ("cpu.cfs_period_us", "cpu.cfs_quota_us"):
        (folder / name).touch()
    (folder / "cpu.stat").write_text("nr_periods 9\nnr_throttled 7\n")
    return CpuGroup(folder)


def test_a_limit_is_a_share_of_a_short_period(tmp_path: Path) -> None:
    group = group_of(tmp_path, unified=True)
    group.limit(2 * SLOWED)
    assert (tmp_path / "cpu.max").read_text() == f"12500 {PERIOD_US}"
    group.limit(None)
    assert (tmp_path / "cpu.max").read_text() == f"max {PERIOD_US}"
    assert group.periods_at_limit() == 7


def test_a_limit_in_the_older_files(tmp_path: Path) -> None:
    group = group_of(tmp_path, unified=False)
    group.limit(SLOWED)
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "6250"
    assert (tmp_path / "cpu.cfs_period_us").read_text() == str(PERIOD_US)
    group.limit(None)
    assert (tmp_path / "cpu.cfs_quota_us").read_text() == "-1"


@pytest.mark.parametrize(("unified", "name"), [(True, "cpu.weight"), (False, "cpu.shares")])
def test_the_group_goes_before_others(unified: bool, name: str, tmp_path: Path) -> None:
    group_of(tmp_path, unified=unified).favour()
    assert int((tmp_path / name).read_text()) >= 10_000


def test_without_the_right_to_make_a_group_it_says_what_is_needed(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with (
        pytest.raises(QuotaUnavailable, match="root or a delegated cgroup") as refused,
        open_cpu_group([tmp_path / "absent", plain]),
    ):
        pass
    assert isinstance(refused.value, VoicedError)
    assert "no cpu controller" in str(refused.value)
    assert list(plain.iterdir()) == []


def test_parents_are_looked_for_where_either_version_is_mounted(tmp_path: Path) -> None:
    mounts, own = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(
        "31 23 0:28 / /cg rw - tmpfs tmpfs rw\n"
        "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "33 31 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n"
    )
    own.write_text("2:cpu,cpuacct:/mine\n0::/user.slice/scope\n")
    assert find_parents(mounts, own) == [
        Path("/cg/cpu/mine"),
        Path("/cg/cpu"),
        Path("/cg/unified/user.slice"),
        Path("/cg/unified/user.slice/scope"),
        Path("/cg/unified"),
    ]
    assert own_group(own.read_text(), "cpuset") == "/"


def test_a_real_group_slows_down_what_is_in_it_and_is_removed() -> None:
    """Where this machine lets a group be made. How slow is not asked: only that it had to wait."""
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    try:
        with open_cpu_group() as group:
            process = subprocess.Popen([sys.executable, "-c", burn])
            group.limit(0.1)
            group.add(process.pid)
            process.wait()
            assert group.periods_at_limit() > 0
            path = group.path
    except QuotaUnavailable as refused:
        pytest.skip(str(refused))
    assert not path.exists()


async def test_turns_are_taken_alternately_at_full_speed_and_slowed(tmp_path: Path) -> None:
    limits: list[float | None] = []

    class Recorded(CpuGroup):
        def limit(self, cores: float | None) -> None:
            limits.append(cores)

    group_of(tmp_path, unified=True)
    async with serve_script(answer) as url:
        report = await measure_heat(
            Daemon(url),
            Recorded(tmp_path),
            CLIP,
            cores=2,
            turns=2,
            frame_ms=20,
            advance=lambda done: None,
        )
    assert limits == [None, 1.25, 1.25, None, None]
    assert (report.full_ms.n, report.slowed_ms.n, report.periods_at_limit) == (2, 2, 7)


@pytest.mark.parametrize(
    ("slowed_ms", "gap_ms", "periods", "good"),
    [
        (700.0, 0.0, 5, True),
        (720.1, 0.0, 5, False),
        (700.0, 25.0, 5, False),
        (700.0, 15.0, 5, True),
        (700.0, 0.0, 0, False),
    ],
)
def test_the_goal_is_judged_and_only_where_it_was_tested(
    slowed_ms: float, gap_ms: float, periods: int, good: bool
) -> None:
    full, slowed = [SlowTurn(400.0, 0.0)] * 3, [SlowTurn(slowed_ms, gap_ms)] * 3
    report = summarise_turns(full, slowed, 1, periods)
    assert report.good is good
    assert report.slowed_gaps == (3 if gap_ms > 20 else 0)
    console = Console(record=True, width=200)
    print_report(console, report)
    said = console.export_text()
    assert ("goal met" if good else "goal missed") in said
    assert ("never reached" in said) is (periods == 0)
