"""The watchdog is fed while every heart beats, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from structlog.testing import capture_logs

from voiced.supervision.hearts import Hearts
from voiced.systemd.notify import Notifier
from voiced.systemd.watchdog import Watchdog, watchdog_s

if TYPE_CHECKING:
    from trio.testing import MockClock


class Recorder(Notifier):
    """Notes when it was fed, instead of telling systemd."""

    def __init__(self) -> None:
        super().__init__()
        self.fed: list[float] = []

    def watchdog(self) -> None:
        self.fed.append(trio.current_time())


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "x"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_interval_counts_for_the_process_it_is_meant_for(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert watchdog_s(environ, pid=7) == seconds


async def test_it_is_fed_three_times_an_interval(autojump_clock: MockClock) -> None:
    notifier = Recorder()
    began = trio.current_time()
    with trio.move_on_after(10.5):
        await Watchdog(notifier, Hearts(), 6.0).serve()
    assert [at - began for at in notifier.fed] == pytest.approx([0, 2, 4, 6, 8, 10])


async def test_it_falls_silent_while_a_heart_is_stale_and_says_which(
    autojump_clock: MockClock,
) -> None:
    notifier, hearts = Recorder(), Hearts()
    began = trio.current_time()
    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            heart = hearts.add("audio", 3.0)
            await nursery.start(Watchdog(notifier, hearts, 6.0).serve)
            await trio.sleep(9.0)
            heart.beat()
            await trio.sleep(2.0)
            nursery.cancel_scope.cancel()
    # Stale from 3 s to 9 s: fed at 0 and 2, not at 4, 6 and 8, and again at 10.
    assert [at - began for at in notifier.fed] == pytest.approx([0, 2, 10])
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("stop feeding the watchdog", "error"),
        ("feed the watchdog again", "warning"),
    ]
    assert logs[0]["stale"] == ["audio"]


async def test_without_an_interval_it_ends_at_once() -> None:
    notifier = Recorder()
    async with trio.open_nursery() as nursery:
        await nursery.start(Watchdog(notifier, Hearts(), None).serve)
    assert notifier.fed == []
