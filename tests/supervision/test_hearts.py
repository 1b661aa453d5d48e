"""A heart that stops is named; one that beats, or was closed, is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from voiced.supervision.hearts import Hearts

if TYPE_CHECKING:
    from trio.testing import MockClock


async def test_a_heart_is_stale_only_after_its_time(mock_clock: MockClock) -> None:
    hearts = Hearts()
    heart = hearts.add("store", 5.0)
    mock_clock.jump(5.0)
    assert hearts.stale() == []
    mock_clock.jump(0.1)
    assert hearts.stale() == ["store"]
    heart.beat()
    assert hearts.stale() == []


async def test_each_heart_has_its_own_patience(mock_clock: MockClock) -> None:
    hearts = Hearts()
    hearts.add("slow", 60.0)
    hearts.add("quick", 1.0)
    mock_clock.jump(2.0)
    assert hearts.stale() == ["quick"]
    assert hearts.ages_s() == {"slow": 2.0, "quick": 2.0}


async def test_of_two_with_one_name_the_stuck_one_counts(mock_clock: MockClock) -> None:
    hearts = Hearts()
    stuck, lively = hearts.add("session", 1.0), hearts.add("session", 1.0)
    mock_clock.jump(2.0)
    lively.beat()
    assert hearts.stale() == ["session"]
    assert hearts.ages_s() == {"session": 2.0}
    stuck.close()
    assert hearts.stale() == []


async def test_a_closed_heart_is_not_missed_and_closing_twice_is_fine(
    mock_clock: MockClock,
) -> None:
    hearts = Hearts()
    with hearts.add("job", 1.0) as heart:
        pass
    heart.close()
    heart.beat()
    mock_clock.jump(10.0)
    assert hearts.stale() == []


async def test_a_cancelled_task_takes_its_heart_along(mock_clock: MockClock) -> None:
    hearts = Hearts()

    async def work(*, task_status: trio.TaskStatus[None]) -> None:
        with hearts.add("work", 1.0):
            task_status.started()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(work)
        assert list(hearts.ages_s()) == ["work"]
        nursery.cancel_scope.cancel()
    mock_clock.jump(2.0)
    assert hearts.stale() == []
