"""A bench ends what it has started, politely where there is time, and never waits for ever."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, cast

import pytest
import trio

from voiced.bench.daemon import end_process

if TYPE_CHECKING:
    from trio.testing import MockClock

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"deaf\\n")
time.sleep(600)
"""


@pytest.mark.parametrize("polite_s", [0.0, 0.05])
async def test_a_process_that_ignores_sigterm_is_killed_and_reaped(polite_s: float) -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", STUBBORN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.receive_some() == b"deaf\n"
    with trio.CancelScope() as scope:
        scope.cancel(reason="the bench was interrupted")
        await end_process(process, polite_s=polite_s)
    assert process.returncode == -signal.SIGKILL


class Undying:
    """As a process that hangs in the kernel looks to whoever waits for it."""

    stdin = stdout = None

    def __init__(self) -> None:
        self.signals: list[int] = []

    def poll(self) -> int | None:
        return None

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        await trio.sleep_forever()
        raise AssertionError("unreachable")


async def test_a_process_that_nothing_ends_is_left(autojump_clock: MockClock) -> None:
    undying = Undying()
    with trio.move_on_after(60):
        await end_process(cast("trio.Process", undying), polite_s=1.0)
    assert undying.signals == [signal.SIGTERM, signal.SIGKILL]
    assert trio.current_time() < 60
