"""Which request runs on an engine, and when: slots, order, displacement, cancelling.

Plain synchronous code on the daemon's thread. The host attaches a live child to it and
detaches it when it ends; what the child says about requests comes in through `receive`.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from voiced.audio.pcm import SAMPLE_BYTES, SPEECH_HZ
from voiced.engines import wire
from voiced.engines.call import Call
from voiced.engines.owner import Rounds
from voiced.engines.ports import Priority
from voiced.engines.spec import MAX_AUDIO_S
from voiced.engines.waitlist import Waitlist
from voiced.errors import (
    AudioError,
    ContextExceeded,
    EngineBusy,
    EngineError,
    EngineFailed,
    EnginePreempted,
    EngineUnavailable,
    ModelError,
    ToolChoiceError,
    VoicedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voiced.engines.call import Link, Merge

MAX_AUDIO_BYTES = int(MAX_AUDIO_S * SPEECH_HZ * SAMPLE_BYTES)
"""Audio kept for one request until the engine takes it."""

_AUDIO_FRAME_BYTES = 128 * 1024

_ERRORS: dict[str, type[VoicedError]] = {
    error.code: error
    for error in (
        AudioError,
        ContextExceeded,
        EngineFailed,
        EngineUnavailable,
        ModelError,
        ToolChoiceError,
    )
}


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
        self._grace_s = grace_s
        self._clock = clock
        self._wake = wake
        self._waiting: Waitlist[Call] = Waitlist(queue_size)
        self._running: dict[int, Call] = {}
        self._cancelling: dict[int, float] = {}
        self._link: Link | None = None
        self._slots = 0
        self._arrivals = 0
        self._rounds = Rounds()
        self._last_id = 0

    # -- what can be asked

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests that the child works on for somebody."""
        return len(self._running)

    @property
    def free_slots(self) -> int:
        """Slots that a new request would get at once; 0 without a live child."""
        if self._link is None:
            return 0
        taken = len(self._running) + len(self._cancelling) + len(self._waiting)
        return max(0, self._slots - taken)

    @property
    def congested(self) -> bool:
        """See `ChildProcess.congested`."""
        return self._link is not None and self._link.congested

    async def wait_room(self) -> None:
        """See `ChildProcess.wait_room`."""
        if self._link is not None:
            await self._link.wait_room()

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
        give_up_at: float,
    ) -> Call:
        """Take a request. Raises `EngineBusy` when the queue is full of its equals.

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
        )
        self._arrivals += 1
        call.give_up_at = give_up_at
        self._join_round(call)
        accepted, dropped = self._waiting.make_room(call)
        busy = EngineBusy(f"{self._label} has too much to do; try again")
        if not accepted:
            raise busy
        if dropped is not None:
            dropped.fail(self._preempted() if dropped.priority > priority else busy)
        self._waiting.add(call)
        if self._link is None:
            self._wake()
        self._fill()
        return call

    def add_audio(self, call: Call, pcm: bytes) -> None:
        """Audio for a call: sent if it runs, kept while it waits or may have to run again."""
        call.audio_at = self._clock()
        if call.wire_id:
            self._send_audio(call, pcm)
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
        self._send(wire.Ask(call.wire_id))
        return not call.over

    def end_audio(self, call: Call) -> None:
        """The call's audio is whole."""
        call.audio_ended = True
        call.audio_at = None
        if call.wire_id:
            call.progress_at = self._clock()
            self._send(wire.End(call.wire_id))

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

    def close(self, call: Call) -> None:
        """Its owner has left: out of the queue, or cancelled in the child."""
        if call.wire_id:
            self._cancel(call)
        else:
            self._waiting.remove(call)

    # -- the child

    def attach(self, link: Link, slots: int) -> None:
        """A child is ready."""
        self._link = link
        self._slots = slots
        for call in self._waiting:
            call.give_up_at = float("inf")
        self._fill()

    def detach(self, error: EngineError) -> None:
        """The child is gone: what ran on it fails with `error`; what waits goes on waiting."""
        self._link = None
        self._cancelling.clear()
        running, self._running = self._running, {}
        for call in running.values():
            call.wire_id = 0
            call.fail(error)

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
        due = min(self._cancelling.values(), default=float("inf"))
        return min(due, min((call.give_up_at for call in self._waiting), default=due))

    def cancel_overdue(self) -> bool:
        """Whether the child has failed to acknowledge a cancel within the grace."""
        return min(self._cancelling.values(), default=float("inf")) <= self._clock()

    def stalled(self, seconds: float) -> bool:
        """Whether the engine has said nothing about a request for so long.

        Jobs may take their time, and a request whose audio still comes in waits for us: its
        time begins with the end of the audio.
        """
        limit = self._clock() - seconds
        return any(
            call.progress_at < limit and call.audio_at is None and call.priority is not Priority.JOB
            for call in self._running.values()
        )

    def drop_unfed(self, seconds: float) -> None:
        """End speculation that has had no audio for so long: its slot is worth more to others."""
        limit = self._clock() - seconds
        for call in list(self._running.values()):
            unfed = call.audio_at is not None and call.audio_at < limit
            if unfed and call.priority is Priority.SPECULATION:
                self._cancel(call)
                call.fail(EnginePreempted(f"{self._label} was given no more audio"))

    def receive(self, message: wire.Part | wire.Done | wire.Error | wire.Cancelled) -> None:
        """What the child says about a request; what it says about a cancelled one is dropped."""
        if isinstance(message, wire.Part):
            if (call := self._running.get(message.id)) is not None:
                call.progress_at = self._clock()
                if not call.take_part(message.data):
                    self._cancel(call)
                    call.fail(EngineFailed(f"what {self._label} sent was not read in time"))
            return
        over = self._running.pop(message.id, None)
        if over is None:
            self._cancelling.pop(message.id, None)
        else:
            over.wire_id = 0
            if isinstance(message, wire.Done):
                over.finish(message.result)
            elif isinstance(message, wire.Error):
                over.fail(_ERRORS.get(message.code, EngineFailed)(message.message))
            else:
                over.fail(EngineFailed(f"{self._label} gave up the request"))
        self._fill()

    # -- inside

    def _fill(self) -> None:
        """Start what waits while there are slots; then displace what is less urgent."""
        if self._link is None:
            return
        while self._waiting and len(self._running) + len(self._cancelling) < self._slots:
            self._start(self._waiting.pop())
        # The first few will get the slots that are being freed already.
        for waiting in list(self._waiting)[len(self._cancelling) :]:
            victim = max(self._running.values(), key=_urgency, default=None)
            if victim is None or victim.priority <= waiting.priority:
                break
            self._displace(victim)

    def _start(self, call: Call) -> None:
        self._last_id += 1
        call.wire_id = self._last_id
        call.progress_at = self._clock()
        try:
            self._send(wire.Run(call.wire_id, call.op, dict(call.params)))
        except wire.FrameError as exc:
            call.wire_id = 0
            call.fail(EngineFailed(f"the request {exc}"))
            return
        self._running[call.wire_id] = call
        self._rounds.serve(call)
        for pcm in call.audio:
            self._send_audio(call, pcm)
        if call.audio_ended:
            self._send(wire.End(call.wire_id))
        if not self._replayable(call):
            call.audio.clear()
            call.audio_bytes = 0

    def _join_round(self, call: Call) -> None:
        self._rounds.join(call, chain(self._waiting, self._running.values()))

    def _displace(self, victim: Call) -> None:
        requeue = self._replayable(victim)
        self._cancel(victim)
        if requeue:
            self._waiting.add(victim)
        else:
            victim.fail(self._preempted())

    def _cancel(self, call: Call) -> None:
        del self._running[call.wire_id]
        self._cancelling[call.wire_id] = self._clock() + self._grace_s
        self._send(wire.Cancel(call.wire_id))
        call.wire_id = 0
        self._wake()

    def _replayable(self, call: Call) -> bool:
        return call.requeue and not call.emitted

    def _preempted(self) -> EnginePreempted:
        return EnginePreempted(f"{self._label} was needed for a conversation")

    def _send(self, message: wire.ToChild) -> None:
        if self._link is not None:
            self._link.send(wire.encode(message))

    def _send_audio(self, call: Call, pcm: bytes) -> None:
        for start in range(0, len(pcm), _AUDIO_FRAME_BYTES):
            self._send(wire.Audio(call.wire_id, pcm[start : start + _AUDIO_FRAME_BYTES]))


def _urgency(call: Call) -> tuple[int, int, int]:
    """Largest for what is displaced first: the lowest priority, and of those the newest."""
    return call.rank
