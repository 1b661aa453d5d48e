"""What the metrics tell of background work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.jobs.job_helpers import Count, bench
from voiced.readings.jobs import read_jobs
from voiced.settings import Jobs
from voiced.thermal.level import Level

if TYPE_CHECKING:
    from pathlib import Path

    from tests.jobs.job_helpers import Bench


def read(jobs: Bench) -> dict[str, dict[tuple[str, ...], float]]:
    """The values of each metric by those of its labels."""
    return {
        metric.name.removeprefix("voiced_"): {
            tuple(sample.labels.values()): sample.value for sample in metric.samples
        }
        for metric in read_jobs(jobs.desk, Jobs(queue=7, disk_mb=3.0))
    }


async def shown(jobs: Bench, name: str, label: str, value: float) -> None:
    """Wait for that value: the database knows it a moment before the daemon. The bench has a
    ceiling."""
    while read(jobs)[name].get((label,)) != value:  # noqa: ASYNC110 - nothing tells of it
        await trio.sleep(0.01)


async def test_jobs_are_counted_by_what_they_are_at_and_what_happened_to_them(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        found = read(jobs)
        assert found["jobs_ready"] == {(): 1}
        assert found["jobs"][("queued",)] == 0
        assert found["job_events"] == {}
        first = await jobs.hand_in(content=b"some recording")
        await jobs.kind.held.wait()
        second = await jobs.hand_in()
        found = read(jobs)
        assert (found["jobs"][("running",)], found["jobs"][("queued",)]) == (1, 1)
        assert (found["jobs_unfinished"], found["jobs_unfinished_limit"]) == ({(): 2}, {(): 7})
        assert found["jobs_disk_bytes"][()] >= len(b"some recording")
        assert found["jobs_disk_limit_bytes"] == {(): 3e6}

        jobs.grow(Level.HOT)
        jobs.kind.let_pass(10)
        await shown(jobs, "jobs", "parked", 1)
        jobs.grow(Level.NORMAL)
        await jobs.until(first)
        await jobs.until(second)
        await shown(jobs, "jobs", "completed", 2)
        found = read(jobs)
        assert found["job_events"] == {
            ("count", "submit"): 2,
            ("count", "begin"): 2,
            ("count", "park"): 1,
            ("count", "resume"): 1,
            ("count", "complete"): 2,
        }
        assert found["jobs_unfinished"] == {(): 0}


async def test_without_a_database_nothing_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "voiced.db").mkdir()
    async with bench(tmp_path, ready=False) as jobs:
        found = read(jobs)
    assert found["jobs_ready"] == {(): 0}
    assert found["jobs"] == found["jobs_unfinished"] == found["jobs_disk_bytes"] == {}
