"""Jobs run, are parked, tried again and given up, and lose or repeat nothing of their work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tests.jobs.job_helpers import Count, CountRequest, bench, input_of
from tests.telemetry.watching import watching
from voiced.errors import JobQueueFull, JobStorageFull, StoreError
from voiced.jobs import faults, runner, service
from voiced.jobs.kind import JobError
from voiced.thermal.heat import Level

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from voiced.jobs.kind import Work
    from voiced.jobs.records import Job

THREE = ["0", "1", "2"]


async def test_a_job_is_done_and_its_result_and_facts_are_kept(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs:
        job_id = await jobs.hand_in(content=b"some recording", wrong="warn", device="cuda")
        job = await jobs.until(job_id)
        assert (job.status, job.progress) == ("completed", 100.0)
        assert await jobs.texts(job_id) == THREE
        assert (job.device_requested, job.device_used, job.fallback) == ("cuda", "cuda", True)
        assert [note.code for note in job.warnings] == ["odd"]
        assert (job.timings["counter"].seconds, job.timings["counter"].count) == (1.5, 3)
        path = jobs.desk.result_path(job)
        assert path is not None
        assert path.read_text() == "0 1 2"
        assert job.disk_bytes == 5
        await until_gone(input_of(tmp_path, job_id))


async def test_a_device_that_is_not_there_is_replaced_and_that_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs:
        ordinary = await jobs.until(await jobs.hand_in())
        other = await jobs.until(await jobs.hand_in(device="cuda"))
    assert (ordinary.device_used, ordinary.fallback) == ("cpu", False)
    assert (other.device_used, other.fallback) == ("cpu", True)


async def test_jobs_take_turns_in_the_order_they_came(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=0)) as jobs:
        first, second = await jobs.hand_in(), await jobs.hand_in()
        await jobs.kind.held.wait()
        assert (await jobs.job(first)).status == "running"
        assert (await jobs.job(second)).status == "queued"
        jobs.kind.let_pass(6)
        await jobs.until(second)
        assert (await jobs.job(first)).status == "completed"


async def test_a_daemon_that_stops_parks_its_job_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=2)) as jobs:
        job_id = await jobs.hand_in(content=b"some recording")
        await jobs.kind.held.wait()
    async with bench(tmp_path, Count(passes=0)) as jobs:
        await jobs.kind.held.wait()
        assert await jobs.texts(job_id) == ["0", "1"]
        assert input_of(tmp_path, job_id).exists()
        jobs.kind.let_pass(1)  # what was done is not done again
        job = await jobs.until(job_id)
        assert job.status == "completed"
        assert await jobs.texts(job_id) == THREE


async def test_a_parked_job_is_marked_so_when_the_daemon_has_stopped(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        job_id = await jobs.hand_in()
        await jobs.kind.held.wait()
        ledger = jobs.desk.ledger
    async with bench(tmp_path, Count(), queue=1) as jobs:
        assert jobs.desk.ledger is not ledger
        job = await jobs.until(job_id)
        assert (job.status, job.tries) == ("completed", 0)


async def test_heat_parks_a_job_where_it_stands_and_coolness_lets_it_go_on(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        job_id = await jobs.hand_in()
        await jobs.kind.held.wait()
        jobs.grow(Level.HOT)
        jobs.kind.let_pass(10)
        job = await jobs.until(job_id, "parked")
        assert job.status == "parked"
        assert await jobs.texts(job_id) == ["0", "1"]  # it came to its next pause
        waiting = await jobs.hand_in()
        jobs.grow(Level.WARM)
        assert (await jobs.until(job_id)).status == "completed"
        assert (await jobs.until(waiting)).status == "completed"
        assert await jobs.texts(job_id) == THREE
        assert jobs.kind.runs == 2  # one of each: parking is no run of its own


async def test_no_job_begins_while_it_is_hot(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs:
        jobs.grow(Level.HOT)
        job_id = await jobs.hand_in()
        await trio.testing.wait_all_tasks_blocked()
        assert (await jobs.job(job_id)).status == "queued"
        assert jobs.kind.runs == 0
        jobs.grow(Level.NORMAL)
        assert (await jobs.until(job_id)).status == "completed"


async def test_critical_heat_ends_a_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=2)) as jobs:
        job_id = await jobs.hand_in()
        await jobs.kind.held.wait()
        jobs.grow(Level.CRITICAL)
        job = await jobs.find(job_id, lambda job: job.status != "running")
        assert (job.status, job.tries) == ("queued", 0)
        jobs.grow(Level.WARM)
        jobs.kind.let_pass()
        assert (await jobs.until(job_id)).status == "completed"
        assert await jobs.texts(job_id) == THREE
        assert jobs.kind.runs == 2


async def test_while_it_is_warm_one_job_goes_on_and_the_other_waits(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=0), concurrent=2) as jobs:
        first, second = await jobs.hand_in(to=50), await jobs.hand_in(to=2)
        await jobs.until(second, "running")
        jobs.grow(Level.WARM)
        jobs.kind.let_pass(2)  # both are at the gate already
        assert (await jobs.until(second, "parked")).status == "parked"
        jobs.kind.let_pass(100)
        assert (await jobs.until(second)).status == "completed"
        assert (await jobs.job(first)).status == "completed"


async def test_an_engine_that_crashes_is_tried_again_from_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "FIRST_WAIT_S", 0.01)
    kind = Count()
    kind.faults = 2
    async with bench(tmp_path, kind) as jobs:
        job = await jobs.until(await jobs.hand_in(wrong="engine"))
        assert job.status == "completed"
        assert await jobs.texts(job.job_id) == THREE
        assert kind.runs == 3
        assert [note.code for note in job.warnings] == ["engine_crashed"]


async def test_who_talks_all_day_does_not_make_a_job_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives way as often as it has to, which is no try and nothing to warn of."""
    monkeypatch.setattr(faults, "FIRST_WAIT_S", 0.01)
    kind = Count()
    kind.faults = 5
    with capture_logs() as logged:
        async with bench(tmp_path, kind, tries=2) as jobs:
            job = await jobs.until(await jobs.hand_in(wrong="way"))
            assert (job.status, job.warnings) == ("completed", ())
            assert await jobs.texts(job.job_id) == THREE
    ways = [line["log_level"] for line in logged if line["event"] == "job gives way"]
    assert ways == ["info"] * 5
    assert kind.runs == 6


async def test_a_job_that_gets_no_further_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "FIRST_WAIT_S", 0.01)
    async with bench(tmp_path, tries=3) as jobs:
        job = await jobs.until(await jobs.hand_in(wrong="always", content=b"some recording"))
        assert job.status == "failed"
        assert job.error is not None
        assert job.error.code == "gave_up"
        assert jobs.kind.runs == 3
        assert await jobs.texts(job.job_id) == ["0"]
        await until_gone(input_of(tmp_path, job.job_id))


@pytest.mark.parametrize(("wrong", "code"), [("bug", "job_failed"), ("disk", "storage_full")])
async def test_a_job_fails_alone_and_says_why(tmp_path: Path, wrong: str, code: str) -> None:
    async with bench(tmp_path) as jobs:
        broken, sound = await jobs.hand_in(wrong=wrong, content=b"file"), await jobs.hand_in()
        job = await jobs.until(broken)
        assert job.status == "failed"
        assert job.error is not None
        assert job.error.code == code
        assert "bug" not in job.error.message
        assert (await jobs.until(sound)).status == "completed"
        await until_gone(input_of(tmp_path, broken))


async def test_a_job_is_cancelled_while_it_waits_runs_or_is_over(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        running, waiting = await jobs.hand_in(), await jobs.hand_in(content=b"file")
        await jobs.kind.held.wait()
        for job_id in (running, waiting):
            for _ in range(2):
                job = await jobs.desk.cancel(job_id)
                assert job is not None
                assert job.status == "cancelled"
        assert not input_of(tmp_path, waiting).exists()
        assert await jobs.texts(running) == ["0"]
        jobs.kind.let_pass(10)
        done = await jobs.until(await jobs.hand_in())
        assert await jobs.desk.cancel(done.job_id) == done
        assert await jobs.desk.cancel("job_unknown") is None


async def test_a_parked_job_can_be_cancelled(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        job_id = await jobs.hand_in()
        await jobs.kind.held.wait()
        jobs.grow(Level.HOT)
        jobs.kind.let_pass()
        await jobs.until(job_id, "parked")
        job = await jobs.desk.cancel(job_id)
        assert job is not None
        assert job.status == "cancelled"


async def test_a_removed_job_leaves_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=1)) as jobs:
        running = await jobs.hand_in(content=b"file")
        await jobs.kind.held.wait()
        assert await jobs.desk.remove(running)
        assert not await jobs.desk.remove(running)
        assert await jobs.desk.ledger.get(running) is None
        assert not (tmp_path / "jobs" / running).exists()


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=0), queue=2) as jobs:
        first = await jobs.hand_in()
        await jobs.hand_in()
        with pytest.raises(JobQueueFull):
            await jobs.hand_in()
        await jobs.desk.cancel(first)
        await jobs.hand_in()


async def test_the_queue_is_bounded_for_those_who_come_at_the_same_time(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=0), queue=2) as jobs:
        refused: list[JobQueueFull] = []

        async def try_it() -> None:
            try:
                await jobs.hand_in()
            except JobQueueFull as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(try_it)
        assert jobs.desk.ledger.unfinished == 2
        assert len(refused) == 3
        assert len(list((tmp_path / "jobs").iterdir())) == 2


async def test_the_room_for_files_is_bounded(tmp_path: Path) -> None:
    async with bench(tmp_path, Count(passes=0), disk_mb=0.001) as jobs:
        first = await jobs.hand_in(content=b"x" * 900)
        with pytest.raises(JobStorageFull):
            await jobs.hand_in(content=b"x" * 200)
        assert [path.name for path in (tmp_path / "jobs").iterdir()] == [first]
        await jobs.desk.cancel(first)
        await jobs.hand_in(content=b"x" * 200)


async def test_a_result_that_takes_too_much_room_fails_its_job(tmp_path: Path) -> None:
    class Wordy(Count):
        async def run(self, work: Work) -> None:
            await trio.Path(work.directory / "result.part").write_bytes(b"x" * 2000)
            await work.commit(b"1")

    async with bench(tmp_path, Wordy(), disk_mb=0.001) as jobs:
        job = await jobs.until(await jobs.hand_in())
        assert job.error is not None
        assert (job.status, job.error.code) == ("failed", "job_storage_full")


async def test_what_a_kind_refuses_leaves_no_job_and_no_file(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs:
        with pytest.raises(JobError):
            await jobs.hand_in(to=13, content=b"file")
        assert list((tmp_path / "jobs").iterdir()) == []
        assert await jobs.desk.ledger.page(limit=10) == []


async def test_old_jobs_are_removed_with_their_results(tmp_path: Path) -> None:
    async with bench(tmp_path, keep=2) as jobs:
        ids = [await jobs.hand_in() for _ in range(4)]
        for job_id in ids:
            await jobs.until(job_id)
        assert await jobs.desk.sweep() == 2
        kept = await jobs.desk.ledger.page(limit=10)
        assert kept is not None
        assert [job.job_id for job in kept] == [ids[3], ids[2]]
        assert {path.name for path in (tmp_path / "jobs").iterdir()} == {ids[2], ids[3]}
    async with bench(tmp_path, keep_hours=1e-9) as jobs:
        while await jobs.desk.ledger.page(limit=10):  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)


async def test_files_of_no_job_are_removed_at_the_start(tmp_path: Path) -> None:
    stray = tmp_path / "jobs" / "job_stray"
    stray.mkdir(parents=True)
    (stray / "input").write_bytes(b"half an upload")
    async with bench(tmp_path):
        assert not stray.exists()


async def test_a_database_that_cannot_be_used_refuses_jobs_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STORE_RETRY_S", 0.01)
    state = tmp_path / "state"
    in_the_way = state / "voiced.db"
    in_the_way.mkdir(parents=True)
    async with bench(state, ready=False) as jobs:
        with pytest.raises(StoreError):
            await jobs.hand_in()
        in_the_way.rmdir()
        while not jobs.desk.ready:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.01)
        assert (await jobs.until(await jobs.hand_in())).status == "completed"


async def test_observers_hear_of_frames_progress_and_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs:
        with jobs.insights.watch() as observer:
            job_id = await jobs.hand_in()
            await jobs.until(job_id)
            told: list[str] = []
            while not (told and '"completed"' in told[-1]):
                text = await observer.get()
                assert text is not None
                told.append(text)
    assert all(job_id in text for text in told)
    assert any('"type":"frame"' in text for text in told)


async def test_a_job_that_fails_is_an_error_and_its_warnings_are_warnings(tmp_path: Path) -> None:
    async with bench(tmp_path) as jobs, watching(jobs.insights) as seen:
        job_id = await jobs.hand_in(wrong="bug")
        error = await seen.until("error", lambda told: told["subject"] == job_id)
        failed = await seen.until("progress", lambda told: told["status"] == "failed")
        assert failed["job_id"] == job_id
        assert str(failed["reason"]) in error["message"]
        job_id = await jobs.hand_in(wrong="warn")
        warning = await seen.until("warning", lambda told: told["subject"] == job_id)
        await jobs.until(job_id)
    assert (warning["code"], warning["message"]) == ("odd", "One is odd.")


async def test_a_fault_in_the_runner_takes_no_place_and_no_file_that_comes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AGAIN_S", 0.01)
    async with bench(tmp_path, concurrent=1) as jobs:
        change, faults_left = jobs.desk.ledger.change, [1]

        async def fail_once(*args: Any, **values: Any) -> Job | None:  # noqa: ANN401
            if faults_left:
                faults_left.pop()
                raise RuntimeError("a bug")
            return await change(*args, **values)

        monkeypatch.setattr(jobs.desk.ledger, "change", fail_once)
        async with jobs.desk.draft() as draft:
            draft.has_file = True
            await trio.Path(draft.input).write_bytes(b"some recording")
            assert (await jobs.until(await jobs.hand_in())).status == "completed"
            assert not faults_left
            assert draft.input.exists()
            job = await draft.submit(CountRequest())
        assert (await jobs.until(job.job_id)).status == "completed"


@pytest.mark.parametrize("purge", [False, True])
async def test_a_client_who_leaves_while_a_job_is_cancelled_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, purge: bool
) -> None:
    async with bench(tmp_path, Count(passes=0)) as jobs:
        await jobs.hand_in()
        waiting = await jobs.hand_in(content=b"some recording")
        await jobs.kind.held.wait()
        database, scope = jobs.desk.ledger._database, trio.CancelScope()
        write = database.write

        async def write_and_leave(function: Callable[[Connection], Any]) -> Any:  # noqa: ANN401
            found = await write(function)
            scope.cancel(reason="the client has gone")
            await trio.lowlevel.checkpoint()  # as if it was being committed just then
            return found

        monkeypatch.setattr(database, "write", write_and_leave)
        with scope:
            await (jobs.desk.remove if purge else jobs.desk.cancel)(waiting)
        assert scope.cancel_called
        assert jobs.desk.ledger.unfinished == 1
        assert not input_of(tmp_path, waiting).exists()
        assert waiting not in [told.job_id for told in jobs.desk.ledger.reports()]


async def until_gone(path: Path) -> None:
    while path.exists():  # noqa: ASYNC110, ASYNC240 - nothing tells of it; no slow disk
        await trio.sleep(0.01)
