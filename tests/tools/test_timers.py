"""The timer: it rings when it is due, and outlives the daemon."""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import structlog
import trio
import trio.testing

from tests.patience import CEILING_S
from voiced.assistant.announcements import load_announcements
from voiced.tools.clock import local_now
from voiced.tools.home import NoHome
from voiced.tools.timer import CancelTimer, SetTimer, TimerStatus
from voiced.tools.timers import DAMAGED_SUFFIX, FILE_NAME, MISSED_FOR_S, Timers, _write
from voiced.tools.toolbox import Services, Toolbox, ToolContext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voiced.tools.notice import Notice

LONG_S = 3_600.0


class House:
    """A timer service with its tools, whose announcements can be waited for."""

    def __init__(self, state: Path, now: float = 1_000.0) -> None:
        self.now = now
        self.audience: bool | None = True  # None: that is known later
        self.open: list[Notice] = []
        self.heard: list[tuple[str, str]] = []
        self.rang = trio.Event()
        self.timers = Timers(
            state, self.announce, phrase=load_announcements({}).phrase, wall_clock=lambda: self.now
        )
        services = Services(timers=self.timers, home=NoHome(), now=local_now)
        self.toolbox = Toolbox([tool(services) for tool in (SetTimer, CancelTimer, TimerStatus)])

    def announce(self, session_id: str, notice: Notice) -> None:
        self.heard.append((session_id, notice.text))
        self.rang.set()
        if self.audience is None:
            self.open.append(notice)
        else:
            notice.settle(self.audience)

    def tell_missed(self, *, heard: bool = True) -> str | None:
        """What somebody who comes now is told, and whether they hear it."""
        notice = self.timers.take_missed()
        if notice is None:
            return None
        notice.settle(heard)
        return notice.text

    async def call(self, name: str, **arguments: float) -> dict[str, Any]:
        context = ToolContext(session_id="sess_1")
        result = json.loads(await self.toolbox.call(name, json.dumps(arguments), context))
        assert isinstance(result, dict)
        return result


@asynccontextmanager
async def open_house(state: Path, now: float = 1_000.0) -> AsyncIterator[House]:
    house = House(state, now)
    async with trio.open_nursery() as nursery:
        await nursery.start(house.timers.serve)
        yield house
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_it_rings_in_the_session_that_set_it(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert (await house.call("set_timer", seconds=1)) == {"ok": True, "duration_s": 1}
        with trio.fail_after(CEILING_S):
            await house.rang.wait()
        assert house.heard == [("sess_1", "Your timer for 1 second is over.")]
        assert (await house.call("timer_status"))["error"] == "no_timer"
    assert not (tmp_path / FILE_NAME).exists()


async def test_status_tells_how_much_is_left(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", minutes=5.5)
        status = await house.call("timer_status")
        assert status == {"ok": True, "duration_s": 330, "remaining_s": 330}


async def test_a_second_timer_takes_the_place_of_the_first(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", hours=3, minutes=10)
        second = await house.call("set_timer", minutes=1)
        assert (second["status"], second["duration_s"]) == ("replaced", 60)
        assert second["replaced_s"] == 11_400


async def test_a_cancelled_timer_never_rings(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", seconds=1)
        assert (await house.call("cancel_timer"))["ok"]
        assert (await house.call("cancel_timer"))["error"] == "no_timer"
        # A later timer rings, the cancelled one did not.
        await house.call("set_timer", seconds=1.1)
        with trio.fail_after(CEILING_S):
            await house.rang.wait()
        assert len(house.heard) == 1


@pytest.mark.parametrize("arguments", [{}, {"seconds": 0.5}, {"hours": 200}])
async def test_a_duration_out_of_bounds_is_refused(
    tmp_path: Path, arguments: dict[str, float]
) -> None:
    async with open_house(tmp_path) as house:
        assert (await house.call("set_timer", **arguments))["error"] == "bad_duration"
        assert house.timers.running is None


async def test_it_outlives_a_restart_by_the_wall_clock(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", hours=1)
    async with open_house(tmp_path, now=1_000.0 + 600) as later:
        running = later.timers.running
        assert running is not None
        assert (running.session_id, running.duration_s) == ("sess_1", LONG_S)
        assert running.remaining_s == pytest.approx(LONG_S - 600, abs=CEILING_S)


@pytest.mark.parametrize(
    ("late_s", "told"),
    [
        (0, "1 second"), (59.5, "1 minute"), (200, "3 minutes"), (3_700, "1 hour and 1 minute"),
        (MISSED_FOR_S - 1, "11 hours and 59 minutes"), (MISSED_FOR_S + 1, None),
    ],
)  # fmt: skip
async def test_one_that_came_due_meanwhile_is_told_late_and_once(
    tmp_path: Path, late_s: float, told: str | None
) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", minutes=5)
    async with open_house(tmp_path, now=1_000.0 + 400) as later:
        assert later.timers.running is None
        assert later.heard == []
        # Nobody comes: the next start still knows.
    async with open_house(tmp_path, now=1_000.0 + 300 + late_s) as later:
        text = later.tell_missed()
        assert text == (told and f"Your timer for 5 minutes was over {told} ago.")
        assert later.tell_missed() is None
    assert not (tmp_path / FILE_NAME).exists()
    async with open_house(tmp_path, now=1_000.0 + 300 + late_s) as after:
        assert after.tell_missed() is None


async def test_one_that_nobody_could_hear_is_told_to_who_comes_first(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        assert house.tell_missed() is None
        house.audience = False
        house.timers.set(0.0, "sess_1")
        with trio.fail_after(CEILING_S):
            await house.rang.wait()
        house.now += 120
        # A timer that runs is another matter, and outlives a restart beside the missed one.
        await house.call("set_timer", hours=1)
    async with open_house(tmp_path, now=house.now + 60) as later:
        assert later.timers.running is not None
        assert later.tell_missed() == "Your timer for 0 seconds was over 3 minutes ago."
        assert later.tell_missed() is None
        assert later.timers.running is not None


async def test_one_that_was_heard_is_not_told_again(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.timers.set(0.0, "sess_1")
        with trio.fail_after(CEILING_S):
            await house.rang.wait()
        assert house.tell_missed() is None


async def test_one_that_was_announced_is_missed_until_it_was_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever was to hear it may be gone, or the daemon, before the sound was out."""
    disk = Disk(monkeypatch)
    async with open_house(tmp_path) as house:
        house.audience = None
        house.timers.set(0.0, "sess_1")
        with trio.fail_after(CEILING_S):
            saved = b""
            while b'"missed":{' not in saved:
                saved = await disk.read.receive()
        assert house.timers.take_missed() is None  # it is being told
        house.open[0].settle(False)
        assert house.tell_missed(heard=False) == "Your timer for 0 seconds was over 1 second ago."
        assert house.timers.take_missed() is not None  # and nobody says what became of it
    async with open_house(tmp_path) as later:
        assert later.tell_missed(heard=False) is not None
        assert later.tell_missed() is not None
        assert later.tell_missed() is None
    assert not (tmp_path / FILE_NAME).exists()


async def test_a_receipt_that_comes_late_forgets_no_other_timer(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.audience = None
        for duration_s in (0.0, 1.0):
            house.rang = trio.Event()
            house.timers.set(duration_s, "sess_1")
            with trio.fail_after(CEILING_S):
                await house.rang.wait()
        first, second = house.open
        first.settle(True)
        assert house.timers.take_missed() is None  # the second is still being told
        second.settle(False)
        assert house.tell_missed() == "Your timer for 1 second was over 1 second ago."


async def test_only_the_latest_missed_timer_is_kept(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        house.audience = False
        for duration_s in (0.0, 1.0):
            house.rang = trio.Event()
            house.timers.set(duration_s, "sess_1")
            with trio.fail_after(CEILING_S):
                await house.rang.wait()
        assert house.tell_missed() == "Your timer for 1 second was over 1 second ago."
        assert house.tell_missed() is None


class Disk:
    """Writes as the timer does; a test can hold the writes back and wait for what they say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held = threading.Event()
        self.held.set()
        self.begun, self.written = trio.open_memory_channel[bytes](100)
        self.done, self.read = trio.open_memory_channel[bytes](100)
        monkeypatch.setattr("voiced.tools.timers._write", self.write)

    def write(self, path: Path, data: bytes | None) -> None:
        trio.from_thread.run_sync(self.begun.send_nowait, data or b"")
        assert self.held.wait(CEILING_S)
        _write(path, data)
        trio.from_thread.run_sync(self.done.send_nowait, data or b"")


async def test_a_missed_timer_is_in_the_file_while_the_daemon_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only once it ends in order: a power cut must not lose it, nor tell it twice."""
    async with open_house(tmp_path) as house:
        await house.call("set_timer", minutes=5)
    disk = Disk(monkeypatch)
    async with open_house(tmp_path, now=1_000.0 + 400) as later:
        with trio.fail_after(CEILING_S):
            saved = await disk.read.receive()
        assert saved.startswith(b'{"running":null,"missed":{')
        assert later.tell_missed() is not None
        with trio.fail_after(CEILING_S):
            assert await disk.read.receive() == b""
        assert not (tmp_path / FILE_NAME).exists()


async def test_what_changes_while_the_disk_is_busy_is_saved_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    async with open_house(tmp_path) as house:
        disk.held.clear()
        await house.call("set_timer", hours=1)
        with trio.fail_after(CEILING_S):
            await disk.written.receive()
            await house.call("set_timer", hours=2)
            disk.held.set()
            assert b'"duration_s":3600' in await disk.read.receive()
            assert b'"duration_s":7200' in await disk.read.receive()


async def test_a_save_that_failed_is_tried_again_until_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: nothing else changes, and the timer is saved once there is room."""
    monkeypatch.setattr("voiced.tools.timers._SAVE_AGAIN_S", (0.01, 0.02))
    full = [3]

    def sync(fd: int) -> None:
        if full[0]:
            full[0] -= 1
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("voiced.tools.timers.os.fsync", sync)
    with structlog.testing.capture_logs() as logs:
        async with open_house(tmp_path) as house:
            await house.call("set_timer", hours=1)
            with trio.fail_after(CEILING_S):
                while not logs or logs[-1]["event"] != "timer saved again":
                    await trio.lowlevel.checkpoint()
            assert os.listdir(tmp_path) == [FILE_NAME]
    # One line for the failure, however often it was tried.
    assert [entry["event"] for entry in logs] == ["timer not saved", "timer saved again"]


async def test_a_save_that_failed_or_was_cut_off_leaves_nothing_behind(tmp_path: Path) -> None:
    fresh = tmp_path / "timer.new"
    (tmp_path / FILE_NAME).mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        _write(tmp_path / FILE_NAME, b"{}")
    assert not fresh.exists()
    fresh.write_bytes(b"")
    async with open_house(tmp_path):
        assert not fresh.exists()


async def test_a_clock_set_back_does_not_lengthen_it(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        await house.call("set_timer", hours=1)
    async with open_house(tmp_path, now=0.0) as later:
        assert later.timers.running is not None
        assert later.timers.running.remaining_s <= LONG_S


TIMER = b'{"running":{"due":2000.0,"duration_s":3600.0,"session_id":"sess_1"}}'


async def test_a_file_is_read_as_it_is_written_down(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(TIMER)
    async with open_house(tmp_path) as house:
        assert house.timers.running is not None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff", b"[]", b'{"due": "soon"}', b'{"session_id":"\xff"}',
        TIMER.replace(b"sess_1", b"\xff"), TIMER.replace(b"sess_1", b"\\ud800"),
        TIMER.replace(b"sess_1", b"s" * 201), TIMER.replace(b'"sess_1"', b"1"),
        TIMER.replace(b"2000.0", b'"2000"'), TIMER.replace(b"2000.0", b"NaN"),
        TIMER.replace(b"2000.0", b"1e999"), TIMER.replace(b"2000.0", b"1e300"),
        TIMER.replace(b"2000.0", b"9" * 400), TIMER.replace(b"2000.0", b"null"),
        TIMER.replace(b"3600.0", b"-1"), TIMER.replace(b"3600.0", b"1e7"),
        TIMER.replace(b"running", b"missed").replace(b"3600.0", b"true"),
        TIMER.replace(b"running", b"ringing"), TIMER + b" " * 8_192 + b"x", b"[" * 3_000,
    ],
)  # fmt: skip
async def test_a_damaged_file_is_no_timer_and_is_put_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    aside = tmp_path / (FILE_NAME + DAMAGED_SUFFIX)
    aside.write_bytes(b"an older one")
    with structlog.testing.capture_logs() as logs:
        async with open_house(tmp_path) as house:
            assert house.timers.running is None
            assert house.tell_missed() is None
            assert aside.read_bytes() == content
            assert (await house.call("set_timer", hours=1))["ok"]
    assert [entry["event"] for entry in logs] == ["timer file damaged"]
    assert aside.read_bytes() == content
    async with open_house(tmp_path) as later:
        assert later.timers.running is not None


async def test_a_file_that_cannot_be_read_is_no_timer(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    async with open_house(tmp_path) as house:
        assert house.timers.running is None


async def test_a_disk_that_cannot_be_written_costs_only_the_restart(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    async with open_house(gone) as house:
        await house.call("set_timer", seconds=1)
        with trio.fail_after(CEILING_S):
            await house.rang.wait()
    assert not gone.exists()


async def test_nobody_to_tell_is_no_fault(tmp_path: Path) -> None:
    timers = Timers(tmp_path, phrase=load_announcements({}).phrase)
    async with trio.open_nursery() as nursery:
        await nursery.start(timers.serve)
        timers.set(0.0, "sess_1")
        with trio.fail_after(CEILING_S):
            while timers.running is not None:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel(reason="the test is over")
