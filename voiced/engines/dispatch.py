"""Which request runs on an engine, and when: slots, order, displacement.

Plain synchronous code on the daemon's thread. The host attaches a live child to it and
detaches it when it ends; what the child says about requests comes in through `receive`. What
runs there is the business of `runs.py`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.engines import wire
from voiced.engines.call import Call
from voiced.engines.owner import Rounds
from voiced.engines.ports import Priority
from voiced.engines.record import Record, Watch
from voiced.engines.runs import Runs
from voiced.engines.spec import MAX_AUDIO_S
from voiced.engines.waitlist import Waitlist
from voiced.errors import EngineBusy, EngineError, EngineFailed, EnginePreempted, TooHot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voiced.engines.call import Link, Merge

MAX_AUDIO_BYTES = int(MAX_AUDIO_S * SPEECH_HZ * SAMPLE_BYTES)
"""Audio kept for one request until the engine takes it."""


class Dispatcher:
    """Requests of one engine. `wake` is called when something may be due sooner than before."""

    def __init__(
        self,
        label: str,
        *,
        queue_size: int,
        grace_s: float,
        clock: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._label = label
        self._clock = clock
        self._wake = wake
        self._waiting: Waitlist[Call] = Waitlist(queue_size)
        self._runs = Runs(label, grace_s=grace_s, clock=clock)
        self._slots = 0
        self._arrivals = 0
        self._rounds = Rounds()
        self._heat: str | None = None
        self.record = Record(clock)

    # -- what can be asked

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that the child works on for somebody."""
        return len(self._runs.calls)

    @property
    def free_slots(self) -> int:
        """Slots that a new request would get at once; 0 without a live child."""
        if self._runs.link is None:
            return 0
        return max(0, self._slots - self._runs.taken - len(self._waiting))

    @property
    def stale_parts(self) -> int:
        """See `Runs.stale_parts`."""
        return self._runs.stale_parts

    @property
    def congested(self) -> bool:
        """See `ChildProcess.congested`."""
        return self._runs.link is not None and self._runs.link.congested

    async def wait_room(self) -> None:
        """See `ChildProcess.wait_room`."""
        if self._runs.link is not None:
            await self._runs.link.wait_room()

    # -- requests

    def submit(
        self,
        op: str,
        params: Mapping[str, Any],
        priority: Priority,
        *,
        owner: str = "",
        requeue: bool,
        merge: Merge | None,
        max_parts: int,
        in_turn: bool = False,
        give_up_at: float,
    ) -> Call:
        """Take a request. Raises `EngineBusy` when the queue is full of its equals, and `TooHot`
        while what gives way to heat is held off.

        Of an owner with more than their share of a full queue, the last one that waits fails
        instead with that error.
        """
        call = Call(
            self,
            op,
            params,
            priority,
            self._arrivals,
            owner=owner,
            requeue=requeue,
            merge=merge,
            max_parts=max_parts,
            in_turn=in_turn,
            watch=Watch(self.record),
        )
        if self._heat is not None and call.gives_way:
            hot = TooHot(self._heat)
            self.record.note_failure(hot)
            raise hot
        self._arrivals += 1
        call.give_up_at = give_up_at
        self._join_round(call)
        accepted, dropped = self._waiting.make_room(call)
        busy = EngineBusy(f"{self._label} has too much to do; try again")
        if not accepted:
            self.record.note_failure(busy)
            raise busy
        if dropped is not None:
            dropped.fail(self._preempted() if dropped.priority > priority else busy)
        self._waiting.add(call)
        if self._runs.link is None:
            self._wake()
        self._fill()
        return call

    def add_audio(self, call: Call, pcm: bytes) -> None:
        """Audio for a call: sent if it runs, kept while it waits or may have to run again."""
        call.audio_at = self._clock()
        if call.wire_id:
            self._runs.send_audio(call, pcm)
        if not call.over and (not call.wire_id or self._replayable(call)):
            call.audio.append(pcm)
            call.audio_bytes += len(pcm)
            if call.audio_bytes > MAX_AUDIO_BYTES:
                self.close(call)
                call.fail(EngineFailed("too much audio for one request"))

    def ask(self, call: Call) -> bool:
        """Ask a running call what it has heard so far; False where it does not run."""
        if not call.wire_id:
            return False
        self._runs.ask(call)
        return not call.over

    def end_audio(self, call: Call) -> None:
        """The call's audio is whole."""
        call.audio_ended = True
        call.audio_at = None
        if call.wire_id:
            self._runs.end_audio(call)

    def promote(self, call: Call, priority: Priority) -> None:
        """Change a call's priority, waiting or running."""
        waiting = call in self._waiting
        if waiting:
            self._waiting.remove(call)
        call.priority = priority
        self._join_round(call)
        if waiting:
            self._waiting.add(call)
            self._fill()

    def hold_off(self, reason: str | None) -> int:
        """Cancel what gives way to heat, and refuse it from now on with `TooHot`, for `reason`;
        None: take it again. Returns how many requests that ended."""
        self._heat = reason
        if reason is None:
            return 0
        ended = [call for call in chain(self._waiting, self._runs.calls) if call.gives_way]
        for call in ended:
            self.close(call)
            call.fail(TooHot(reason))
        self._fill()
        return len(ended)

    def close(self, call: Call) -> None:
        """Its owner has left: out of the queue, or cancelled in the child."""
        if call.wire_id:
            self._cancel(call)
        else:
            self._waiting.remove(call)

    # -- the child

    def attach(self, link: Link, slots: int) -> None:
        """A child is ready."""
        self._runs.link = link
        self._slots = slots
        for call in self._waiting:
            call.give_up_at = float("inf")
        self._fill()

    def detach(self, error: EngineError) -> None:
        """The child is gone: what ran on it fails with `error`; what waits goes on waiting."""
        self._runs.detach(error)

    def limit_waiting(self, give_up_at: float, error: EngineError) -> None:
        """No child for now: conversation waits until `give_up_at`, the rest fails at once."""
        for call in self._waiting.clear():
            if call.priority is Priority.CONVERSATION and give_up_at > self._clock():
                call.give_up_at = min(call.give_up_at, give_up_at)
                self._waiting.add(call)
            else:
                call.fail(error)

    def give_up(self, error: EngineError) -> None:
        """Fail waiting calls whose time is over."""
        now = self._clock()
        for call in [call for call in self._waiting if call.give_up_at <= now]:
            self._waiting.remove(call)
            call.fail(error)

    def next_due(self) -> float:
        """When the next grace or wait is over; infinity if nothing is pending."""
        due = self._runs.grace_due
        return min(due, min((call.give_up_at for call in self._waiting), default=due))

    def cancel_overdue(self) -> bool:
        """Whether the child has failed to acknowledge a cancel within the grace."""
        return self._runs.grace_due <= self._clock()

    def stalled(self, still_s: float, silent_s: float = float("inf")) -> bool:
        """See `Runs.stalled`."""
        return self._runs.stalled(still_s, silent_s)

    def drop_unfed(self, seconds: float) -> None:
        """End speculation that has had no audio for so long: its slot is worth more to others."""
        for call in self._runs.unfed(seconds):
            self._cancel(call)
            call.fail(EnginePreempted(f"{self._label} was given no more audio"))

    def receive(self, message: wire.Part | wire.Done | wire.Error | wire.Cancelled) -> None:
        """What the child says about a request; what it says about a cancelled one is dropped."""
        if not isinstance(message, wire.Part):
            self._runs.end(message)
            self._fill()
        elif not self._runs.take_part(message):
            self._wake()

    # -- inside

    def _fill(self) -> None:
        """Start what waits while there are slots; then displace what is less urgent."""
        if self._runs.link is None:
            return
        while self._waiting and self._runs.taken < self._slots:
            self._start(self._waiting.pop())
        # The first few will get the slots that are being freed already.
        for waiting in list(self._waiting)[self._runs.cancelling :]:
            victim = max(self._runs.calls, key=_urgency, default=None)
            if victim is None or victim.priority <= waiting.priority:
                break
            self._displace(victim)

    def _start(self, call: Call) -> None:
        if not self._runs.start(call):
            return
        self._rounds.serve(call)
        if not self._replayable(call):
            call.audio.clear()
            call.audio_bytes = 0

    def _join_round(self, call: Call) -> None:
        self._rounds.join(call, chain(self._waiting, self._runs.calls))

    def _displace(self, victim: Call) -> None:
        requeue = self._replayable(victim)
        self._cancel(victim)
        if requeue:
            victim.watch.begin()
            self._waiting.add(victim)
        else:
            victim.fail(self._preempted())

    def _cancel(self, call: Call) -> None:
        self._runs.cancel(call)
        self._wake()

    def _replayable(self, call: Call) -> bool:
        return call.requeue and not call.emitted

    def _preempted(self) -> EnginePreempted:
        return EnginePreempted(f"{self._label} was needed for a conversation")


def _urgency(call: Call) -> tuple[int, int, int]:
    """Largest for what is displaced first: the lowest priority, and of those the newest."""
    return call.rank
