"""The one timer of the daemon: it rings through the daemon, and outlives a restart of it."""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec
import structlog
import trio

from voiced.tools.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE_NAME = "timer.json"
DAMAGED_SUFFIX = ".damaged"
SHORTEST_S, LONGEST_S = 1.0, 7 * 86_400.0
MISSED_FOR_S = 12 * 3_600.0
"""A missed timer older than this is no news any more."""

_SAVE_AT_END_S = 1.0
_SAVE_AGAIN_S = (1.0, 60.0)  # a save that failed is tried again so soon, and at least so often
_MOST_FILE_BYTES = 4_096  # what is written here has some 200

log = structlog.get_logger(__name__)


class Phrase(Protocol):
    """Words for what the daemon says unasked."""

    def __call__(self, name: str, values: Mapping[str, float], /) -> str:
        """The text of `timer_over` (`duration_s`) or `timer_missed` (`duration_s`, `late_s`)."""
        ...


class SavedTimer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A timer in the file. `due` is wall time in seconds since 1970, so that it can outlive
    the process and the machine's uptime."""

    due: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    duration_s: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_S)]
    session_id: Annotated[str, msgspec.Meta(max_length=200)]


class SavedTimers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file: the timer at work, and the one that was over and that nobody has heard."""

    running: SavedTimer | None = None
    missed: SavedTimer | None = None


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The timer at work. `due` is on Trio's clock."""

    due: float
    duration_s: float
    session_id: str

    @property
    def remaining_s(self) -> float:
        """Seconds to go, never less than 0."""
        return max(0.0, self.due - trio.current_time())


class Timers:
    """Keeps the timer. `serve` must run for it to ring and to be saved.

    `announce(session_id, notice)` is called when the timer is over, and must not block. Until
    somebody has heard of it, it is kept for `take_missed`, over a restart too: one timer, the
    latest. `phrase` gives the words.
    """

    def __init__(
        self,
        state: Path,
        announce: Callable[[str, Notice], None] | None = None,
        *,
        phrase: Phrase,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.announce = announce
        self._path = state / FILE_NAME
        self._phrase = phrase
        self._wall_clock = wall_clock
        self._running: Running | None = None
        self._missed: SavedTimer | None = None
        self._telling: SavedTimer | None = None
        self._changed = trio.Event()
        self._unsaved = False
        self._save_at = -math.inf
        self._failed_saves = 0
        # A limiter of its own: a slow disk holds up no other thread of the daemon.
        self._disk = trio.CapacityLimiter(1)

    @property
    def running(self) -> Running | None:
        """The timer, or None."""
        return self._running

    def set(self, duration_s: float, session_id: str) -> Running | None:
        """Start the timer, in place of the one before, which is returned."""
        before = self._running
        due = trio.current_time() + duration_s
        self._change(Running(due=due, duration_s=duration_s, session_id=session_id))
        return before

    def cancel(self) -> Running | None:
        """Stop the timer and return it; None where none was running."""
        before = self._running
        if before is not None:
            self._change(None)
        return before

    def take_missed(self) -> Notice | None:
        """What to say of a timer that was over and that nobody has heard; None without one.

        For whoever comes first: nobody else gets it until it is settled, and then only where it
        was not heard. Forgotten after `MISSED_FOR_S`.
        """
        missed = self._missed
        if missed is None or missed is self._telling:
            return None
        # Not negative where the clock was set back meanwhile.
        late_s = max(0.0, self._wall_clock() - missed.due)
        if late_s > MISSED_FOR_S:
            self._forget_missed()
            return None
        log.info("telling of a missed timer", late_s=round(late_s), duration_s=missed.duration_s)
        values = {"duration_s": missed.duration_s, "late_s": _roughly(late_s)}
        return self._notice(missed, self._phrase("timer_missed", values))

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Restore the timer, then ring and save for ever. Started once the file was read.

        A file that cannot be read or written is logged and costs only the outliving of a
        restart, and the writing is tried again; a damaged one is kept as `timer.json.damaged`.
        Cancelling it saves what is not yet saved, within a second.
        """
        await self._restore()
        task_status.started()
        try:
            while True:
                running = self._running
                if running is not None and running.remaining_s == 0:
                    self._change(None)
                    self._ring(running)
                # Before waiting: what changed during a save has set an event of the past.
                if self._unsaved and trio.current_time() >= self._save_at:
                    await self._save()
                    continue
                running = self._running
                due = math.inf if running is None else running.due
                with trio.move_on_at(min(due, self._save_at if self._unsaved else math.inf)):
                    await self._changed.wait()
        finally:
            if self._unsaved:
                with trio.move_on_after(_SAVE_AT_END_S, shield=True):
                    await self._save()

    def _change(self, running: Running | None) -> None:
        self._running = running
        self._note_change()

    def _note_change(self) -> None:
        self._unsaved = True
        self._save_at = -math.inf
        self._changed.set()
        self._changed = trio.Event()

    def _ring(self, timer: Running) -> None:
        log.info("timer over", duration_s=timer.duration_s, session=timer.session_id)
        # Missed until it was heard: the daemon, or the one listener, may be gone before that.
        self._missed = SavedTimer(
            due=self._wall_clock(), duration_s=timer.duration_s, session_id=timer.session_id
        )
        if self.announce is not None:
            text = self._phrase("timer_over", {"duration_s": timer.duration_s})
            self.announce(timer.session_id, self._notice(self._missed, text))

    def _notice(self, timer: SavedTimer, text: str) -> Notice:
        """Say `text` of a missed timer, which is forgotten once that was heard."""
        self._telling = timer

        def settle(heard: bool) -> None:
            log.info("told of the timer", heard=heard, duration_s=timer.duration_s)
            if self._telling is timer:
                self._telling = None
            if heard and self._missed is timer:
                self._forget_missed()

        return Notice(text, settle)

    def _forget_missed(self) -> None:
        self._missed = None
        self._note_change()

    async def _restore(self) -> None:
        try:
            data = await trio.to_thread.run_sync(_read, self._path, limiter=self._disk)
        except OSError as error:
            log.warning("timer file unreadable", path=str(self._path), error=str(error))
            return
        if data is None:
            return
        try:
            saved = _decode(data)
        # ValueError: msgspec's own are, and so is text that is not UTF-8.
        except (ValueError, RecursionError) as error:
            kept = await trio.to_thread.run_sync(_put_aside, self._path, limiter=self._disk)
            log.warning("timer file damaged", path=str(self._path), error=str(error), kept_as=kept)
            return
        self._missed = saved.missed
        if saved.running is not None:
            self._resume(saved.running)

    def _resume(self, saved: SavedTimer) -> None:
        left_s = saved.due - self._wall_clock()
        if left_s <= 0:
            log.warning("timer missed", late_s=round(-left_s), duration_s=saved.duration_s)
            self._missed = saved
            self._note_change()
            return
        # A clock that was set back must not make it longer than it was.
        due = trio.current_time() + min(left_s, saved.duration_s)
        self._running = Running(due=due, duration_s=saved.duration_s, session_id=saved.session_id)
        log.info("timer restored", left_s=round(left_s))

    async def _save(self) -> None:
        self._unsaved = False
        running = self._running
        saved: SavedTimer | None = None
        if running is not None:
            saved = SavedTimer(
                due=self._wall_clock() + running.remaining_s,
                duration_s=running.duration_s,
                session_id=running.session_id,
            )
        data: bytes | None = None
        if saved is not None or self._missed is not None:
            data = msgspec.json.encode(SavedTimers(running=saved, missed=self._missed))
        try:
            await trio.to_thread.run_sync(_write, self._path, data, limiter=self._disk)
        except trio.Cancelled:  # before the thread began: the last save is still to do
            self._unsaved = True
            raise
        except OSError as error:
            self._unsaved = True
            first_s, most_s = _SAVE_AGAIN_S
            wait_s = min(first_s * 2.0 ** min(self._failed_saves, 10), most_s)
            self._save_at = trio.current_time() + wait_s
            self._failed_saves += 1
            if self._failed_saves == 1:  # the further attempts would say nothing new
                log.warning("timer not saved", path=str(self._path), error=str(error))
        else:
            if self._failed_saves:
                log.info("timer saved again", attempts=self._failed_saves + 1)
            self._failed_saves = 0


def _roughly(late_s: float) -> float:
    """Whole minutes, below that whole seconds: nobody wants to hear more of a delay."""
    return max(1.0, late_s if late_s < 60 else late_s // 60 * 60)


def _read(path: Path) -> bytes | None:
    """The file, and no more of it than can be right; None where there is none. What a save that
    was cut off has left beside it is removed."""
    with suppress(OSError):
        path.with_suffix(".new").unlink(missing_ok=True)
    try:
        with path.open("rb") as file:
            return file.read(_MOST_FILE_BYTES + 1)
    except FileNotFoundError:
        return None


def _decode(data: bytes) -> SavedTimers:
    if len(data) > _MOST_FILE_BYTES:
        raise ValueError("the file is too long")
    return msgspec.json.decode(data, type=SavedTimers)


def _put_aside(path: Path) -> str:
    """Rename a damaged file, over one from before. The new name; empty where that failed."""
    aside = path.with_name(path.name + DAMAGED_SUFFIX)
    try:
        path.replace(aside)
    except OSError:
        return ""
    return str(aside)


def _write(path: Path, data: bytes | None) -> None:
    """Replace the file in one step, or remove it."""
    if data is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
