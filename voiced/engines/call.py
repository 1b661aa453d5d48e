"""One request to an engine, as the daemon's side holds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import trio

from voiced.engines.ports import Priority
from voiced.errors import EngineFailed

if TYPE_CHECKING:
    from voiced.engines.record import Watch
    from voiced.errors import VoicedError

Part = Mapping[str, Any]

Merge = Callable[[Part, Part], Part | None]
"""From the newest unread part and the one that comes after it: what takes the place of both,
or None to keep both."""


def keep_latest(unread: Part, part: Part) -> Part:
    """A `Merge`: only the newest is of interest."""
    return part


class Link(Protocol):
    """The way to a live child, as the dispatcher needs it."""

    def send(self, frame: bytes) -> None: ...

    @property
    def congested(self) -> bool: ...

    async def wait_room(self) -> None: ...


class Desk(Protocol):
    """What a call needs of the dispatcher behind it."""

    @property
    def congested(self) -> bool: ...

    async def wait_room(self) -> None: ...

    def add_audio(self, call: Call, pcm: bytes) -> None: ...

    def ask(self, call: Call) -> bool: ...

    def end_audio(self, call: Call) -> None: ...

    def promote(self, call: Call, priority: Priority) -> None: ...

    def close(self, call: Call) -> None: ...


class Call:
    """A request that waits, runs, or is over. For one owner.

    Iterate over it for the parts, `await result()` for the end; both raise the `EngineError`
    that the call ended with. Leaving the context of `EngineHost.request`, or `close`, cancels
    what is not over, and frees the owner at once.
    """

    def __init__(
        self,
        desk: Desk,
        op: str,
        params: Mapping[str, Any],
        priority: Priority,
        arrival: int,
        *,
        owner: str,
        requeue: bool,
        merge: Merge | None,
        max_parts: int,
        in_turn: bool,
        watch: Watch,
    ) -> None:
        self._desk = desk
        self.op = op
        self.params = params
        self.priority = priority
        self.arrival = arrival
        self.owner = owner
        self.requeue = requeue
        self.merge = merge
        self.max_parts = max_parts
        self.in_turn = in_turn
        self.watch = watch
        # The dispatcher's notes
        self.wire_id = 0
        """Id of the run that is going on in the child; 0 while none is."""
        self.audio: list[bytes] = []
        self.audio_bytes = 0
        self.audio_ended = False
        self.audio_at: float | None = None
        """When audio last came; None where the request takes none, or has had it all."""
        self.emitted = False
        self.give_up_at = float("inf")
        self.round = 0
        """See `Rounds`."""
        self.progress_at = 0.0
        """When the engine last did something for it, as far as is known."""
        self.said_at = 0.0
        """When there was last something of it to show."""
        # What came of it
        self._parts: deque[Part] = deque()
        self._result: Mapping[str, Any] | None = None
        self._error: Exception | None = None
        self._changed = trio.lowlevel.ParkingLot()

    # -- for the owner

    @property
    def rank(self) -> tuple[int, int, int]:
        """Place in the order of service."""
        return (self.priority, self.round, self.arrival)

    @property
    def gives_way(self) -> bool:
        """Whether heat may end it: it is no conversation, and no part of one that goes on."""
        return self.priority > Priority.CONVERSATION and not self.in_turn

    @property
    def over(self) -> bool:
        """Finished, failed or closed."""
        return self._result is not None or self._error is not None

    @property
    def error(self) -> Exception | None:
        """What it failed with, if it did."""
        return self._error

    async def send_audio(self, pcm: bytes) -> None:
        """Stream audio into the request; waits while the engine's pipe is congested.

        Raises the call's `EngineError` if it has failed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._error is not None:
            raise self._error
        self._desk.add_audio(self, pcm)
        if self._desk.congested:
            await self._desk.wait_room()

    def offer_audio(self, pcm: bytes) -> bool:
        """Stream audio without ever waiting. False: not taken, the pipe is congested, or the
        call is over."""
        if self.over or self._desk.congested:
            return False
        self._desk.add_audio(self, pcm)
        return not self.over

    def ask(self) -> bool:
        """Ask for a part with what was heard so far, without waiting. False: none will come,
        because the call does not run, is over, or its pipe is congested."""
        if self.over or self.audio_ended or self._desk.congested:
            return False
        return self._desk.ask(self)

    def end_audio(self) -> None:
        """No more audio will come. Nothing happens if the call is over."""
        if not self.over and not self.audio_ended:
            self._desk.end_audio(self)

    def promote(self, priority: Priority) -> None:
        """Serve it at this priority from now on. Nothing happens if the call is over."""
        if not self.over:
            self._desk.promote(self, priority)

    def __aiter__(self) -> Call:
        return self

    async def __anext__(self) -> Part:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._parts:
            if self._error is not None:
                raise self._error
            if self._result is not None:
                raise StopAsyncIteration
            await self._changed.park()
        return self._parts.popleft()

    async def result(self) -> Mapping[str, Any]:
        """The final result; parts not yet read stay readable."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while self._result is None:
            if self._error is not None:
                raise self._error
            await self._changed.park()
        return self._result

    def latest(self) -> Part | None:
        """The newest part not yet read, without waiting; None if there is none."""
        return self._parts[-1] if self._parts else None

    def close(self) -> None:
        """Cancel what is not over. Returns at once; may be called twice."""
        if not self.over:
            self._desk.close(self)
            self._error = EngineFailed("the request was closed")
            self._changed.unpark_all()
        self._parts.clear()
        self.audio.clear()

    # -- for the dispatcher

    def take_part(self, part: Part) -> bool:
        """Keep a part for the owner. False: its buffer is full."""
        if not (self.emitted or self.audio_ended or self.audio_at is not None):
            self.watch.first_part(self.priority)
        self.emitted = True
        if self.merge is not None and self._parts:
            merged = self.merge(self._parts[-1], part)
            if merged is not None:
                self._parts.pop()
                part = merged
        if len(self._parts) >= self.max_parts:
            return False
        self._parts.append(part)
        self._changed.unpark_all()
        return True

    def finish(self, result: Mapping[str, Any]) -> None:
        """It is done."""
        if self.audio_at is None:
            self.watch.done(self.op, self.priority)
        self._result = result
        self.audio.clear()
        self._changed.unpark_all()

    def fail(self, error: VoicedError) -> None:
        """It will not be done."""
        self.watch.fail(error)
        self._error = error
        self.audio.clear()
        self._changed.unpark_all()
