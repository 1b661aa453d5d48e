"""What an engine's requests leave behind: times by stage, failures by code, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.host_helpers import running_host, spec_for
from tests.engines.test_dispatch import CONVERSATION, JOB, SPECULATION, Setup
from voiced.engines import wire
from voiced.engines.record import WARNINGS, Record
from voiced.engines.spec import HostPolicy
from voiced.errors import ContextExceeded, EngineBusy, EngineCrashed

if TYPE_CHECKING:
    from voiced.engines.ports import Priority
    from voiced.engines.record import Stage


def times(setup: Setup) -> dict[tuple[Stage, Priority], list[float]]:
    """The sums of each series and how many there are."""
    return {
        (stage, priority): [series.sum_s, float(series.count)]
        for stage, priority, series in setup.desk.record.timings.read()
    }


def test_a_request_is_timed_from_its_arrival_to_its_result() -> None:
    setup = Setup()
    setup.submit("one")
    setup.now = 2.0
    setup.attach()
    setup.now = 2.5
    setup.desk.receive(wire.Part(1, {"text": "Well"}))
    setup.now = 3.0
    setup.desk.receive(wire.Part(1, {"text": ", yes"}))
    setup.now = 6.0
    setup.desk.receive(wire.Done(1, {}))
    assert times(setup) == {
        ("queue_wait", CONVERSATION): [2.0, 1],
        ("first_part", CONVERSATION): [0.5, 1],
        ("whole", CONVERSATION): [4.0, 1],
    }


def test_of_speech_only_the_time_after_its_end_counts() -> None:
    setup = Setup().attach()
    call = setup.submit("speech", SPECULATION)
    setup.desk.add_audio(call, bytes(640))
    setup.now = 5.0
    setup.desk.receive(wire.Part(1, {"text": "so far"}))
    setup.desk.promote(call, CONVERSATION)
    setup.desk.end_audio(call)
    setup.now = 5.25
    setup.desk.receive(wire.Done(1, {}))
    assert times(setup) == {
        ("queue_wait", SPECULATION): [0.0, 1],
        ("whole", CONVERSATION): [0.25, 1],
    }


def test_a_displaced_job_waits_anew_and_its_run_is_timed_from_its_last_start() -> None:
    setup = Setup().attach()
    setup.submit("job", JOB, requeue=True)
    setup.now = 3.0
    setup.submit("urgent")
    setup.desk.receive(wire.Cancelled(1))
    setup.now = 4.0
    setup.desk.receive(wire.Done(2, {}))
    setup.now = 6.0
    setup.desk.receive(wire.Done(3, {}))
    assert times(setup)["queue_wait", JOB] == [1.0, 2]
    assert times(setup)["whole", JOB] == [2.0, 1]


def test_reading_ahead_is_no_answer() -> None:
    setup = Setup().attach()
    setup.desk.submit(
        "prefill", {}, SPECULATION, requeue=True, merge=None, max_parts=8, give_up_at=1e9
    )
    setup.now = 1.5
    setup.desk.receive(wire.Done(1, {}))
    assert times(setup)["prefill", SPECULATION] == [1.5, 1]
    assert ("whole", SPECULATION) not in times(setup)


def test_what_is_closed_by_its_owner_has_not_failed() -> None:
    setup = Setup().attach()
    setup.submit("left").close()
    setup.desk.receive(wire.Cancelled(1))
    assert not setup.desk.record.failures
    assert ("whole", CONVERSATION) not in times(setup)


def test_failures_are_counted_by_code_and_only_faults_are_warnings() -> None:
    setup = Setup(queue_size=1).attach()
    setup.submit("runs", JOB)
    setup.submit("urgent")
    setup.desk.receive(wire.Cancelled(1))
    setup.submit("waits")
    with pytest.raises(EngineBusy):
        setup.submit("too much")
    setup.desk.receive(wire.Error(2, "engine_failed", "it cannot"))
    record = setup.desk.record
    assert record.failures == {"engine_preempted": 1, "engine_busy": 1, "engine_failed": 1}
    assert [(one.code, one.message) for one in record.warnings] == [
        ("engine_busy", "the engine has too much to do; try again"),
        ("engine_failed", "it cannot"),
    ]


def test_warnings_are_bounded_and_the_same_one_takes_one_place() -> None:
    record = Record(lambda: 0.0)
    record.note_failure(ContextExceeded("too long"))
    assert not record.warnings
    for number in range(3 * WARNINGS):
        record.warn("engine_failed", f"fault {number}")
    assert len(record.warnings) == WARNINGS
    for _ in range(5):
        record.warn("engine_failed", f"fault {3 * WARNINGS - 5}")
    newest = record.warnings[-1]
    assert (newest.message, newest.times) == (f"fault {3 * WARNINGS - 5}", 6)
    assert len(record.warnings) == WARNINGS


async def test_a_host_tells_that_its_engine_ended_but_not_its_last_words() -> None:
    policy = HostPolicy(backoff_first_s=0.01)
    async with running_host(spec_for("Obliging"), policy) as host:
        async with host.request("count", {"parts": 2}) as call:
            await call.result()
        assert [stage for stage, _, _ in host.timings.read()] == [
            "first_part",
            "queue_wait",
            "whole",
        ]
        with pytest.raises(EngineCrashed):
            async with host.request("raise_and_leave", {"text": "a secret"}) as call:
                await call.result()
        while host.restarts == 0:
            await host.wait_change()
        assert [warning.code for warning in host.warnings] == ["engine_crashed", "engine_ended"]
        assert host.warnings[1].message == "it exited with status 3"
        assert host.failures == {"engine_crashed": 1}
