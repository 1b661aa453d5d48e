"""How soon observers learn of things: that it is measured, and what it counts."""

from __future__ import annotations

import time

import pytest

from voiced.bench.causing import CODE, stamp
from voiced.bench.clip import synthesise_clip
from voiced.bench.daemon import stub_engines
from voiced.bench.insights import Case, caused, measure
from voiced.bench.observers import TEXT, Log, frame_at
from voiced.telemetry.messages import encode, utc_now, wrap
from voiced.telemetry.payloads import Fault, Progress, Warning_
from voiced.web.websocket import text_frame


async def test_observers_beside_a_slow_one_and_sessions_get_all_that_is_caused() -> None:
    clip = await synthesise_clip()
    case = Case(observers=3, sessions=2, slow=True)
    outcome = await measure(case, stub_engines(), 2.0, clip.pcm)
    assert (outcome.missing, outcome.lost, outcome.behind) == (0, 0, 0)
    assert outcome.latency_ms.least > 0
    # Of those that stand for others on a busy machine, one is counted.
    assert 0 < caused(outcome, 2.0) <= 1.1
    assert outcome.lag_p99_ms > 0


def test_only_what_was_caused_in_the_window_counts_and_a_lost_warning_is_found() -> None:
    now = time.monotonic_ns()
    log = Log(now - 10**9, now + 10**10)

    def take(observer: int, report: Warning_ | Fault | Progress) -> None:
        log.take(observer, encode(wrap(report, utc_now())).encode(), time.monotonic_ns())

    first, second = (Warning_(code=CODE, message=stamp(number)) for number in (1, 2))
    take(0, first)
    take(0, second)
    take(1, second)
    take(0, Warning_(code="hot", message="The processor is hot."))
    early = Fault(code=CODE, message=f'{{"number":0,"at_ns":{now - 2 * 10**9}}}')
    take(0, early)
    job = Progress(
        job_id=f"{CODE}_1",
        kind="speech",
        status="running",
        percent=1,
        reason=stamp(3),
        coalesced=4,
    )
    take(1, job)
    assert len(log.latencies_ms) == 4
    assert log.missing(2) == 1
    assert log.merged == 1
    take(1, Warning_(code="observer_behind", message="You read too slowly.", coalesced=9))
    assert log.behind == 9


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_frames_are_found_in_what_comes_however_long(size: int) -> None:
    frames = text_frame("x" * size) + text_frame("next")
    found = frame_at(frames, 0)
    assert found is not None
    opcode, begin, end = found
    assert (opcode, end - begin) == (TEXT, size)
    assert frame_at(frames, end) == (TEXT, end + 2, len(frames))
    assert frame_at(frames[: end - 1], 0) is None
