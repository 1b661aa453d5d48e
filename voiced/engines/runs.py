"""The requests that run in an engine's child: told to it, followed, cancelled.

Plain synchronous code on the daemon's thread. `Dispatcher` decides what runs; this knows what does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.engines import wire
from voiced.engines.ports import Priority
from voiced.errors import (
    AudioError,
    ContextExceeded,
    EngineError,
    EngineFailed,
    EngineUnavailable,
    ModelError,
    ToolChoiceError,
    VoicedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from voiced.engines.call import Call, Link

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


class Runs:
    """What one child works on, and what it was told to stop and has not acknowledged yet.

    Without a child there is nothing, and nothing is sent.
    """

    def __init__(self, label: str, *, grace_s: float, clock: Callable[[], float]) -> None:
        self._label = label
        self._grace_s = grace_s
        self._clock = clock
        self._running: dict[int, Call] = {}
        self._cancelling: dict[int, float] = {}
        self._last_id = 0
        self.link: Link | None = None
        """The live child, if there is one."""
        self.stale_parts = 0
        """Parts that came for requests whose end had come. A child that keeps to its protocol sends
        none: what it says before it acknowledges a cancel is not counted."""

    @property
    def calls(self) -> Collection[Call]:
        """Those that the child works on for somebody."""
        return self._running.values()

    @property
    def cancelling(self) -> int:
        """Those that are being stopped: each has its slot until the child says that it is free."""
        return len(self._cancelling)

    @property
    def taken(self) -> int:
        """Slots in use."""
        return len(self._running) + len(self._cancelling)

    # -- to the child

    def start(self, call: Call) -> bool:
        """Begin it, with the audio that there is. False: it does not fit, and has failed."""
        self._last_id += 1
        call.wire_id = self._last_id
        call.said_at = call.progress_at = self._clock()
        try:
            self._send(wire.Run(call.wire_id, call.op, dict(call.params)))
        except wire.FrameError as exc:
            call.wire_id = 0
            call.fail(EngineFailed(f"the request {exc}"))
            return False
        call.watch.run(call.priority)
        self._running[call.wire_id] = call
        for pcm in call.audio:
            self.send_audio(call, pcm)
        if call.audio_ended:
            self._send(wire.End(call.wire_id))
        return True

    def send_audio(self, call: Call, pcm: bytes) -> None:
        """More audio for a call that runs."""
        for start in range(0, len(pcm), _AUDIO_FRAME_BYTES):
            self._send(wire.Audio(call.wire_id, pcm[start : start + _AUDIO_FRAME_BYTES]))

    def end_audio(self, call: Call) -> None:
        """The audio of a call that runs is whole: its time begins."""
        call.said_at = call.progress_at = self._clock()
        call.watch.begin()
        self._send(wire.End(call.wire_id))

    def ask(self, call: Call) -> None:
        """Ask a call that runs what it has heard so far."""
        self._send(wire.Ask(call.wire_id))

    def cancel(self, call: Call) -> None:
        """Stop a call that runs. It is free at once; its slot is when the child says so."""
        del self._running[call.wire_id]
        self._cancelling[call.wire_id] = self._clock() + self._grace_s
        self._send(wire.Cancel(call.wire_id))
        call.wire_id = 0

    def detach(self, error: EngineError) -> None:
        """The child is gone: what ran on it fails with `error`."""
        self.link = None
        self._cancelling.clear()
        running, self._running = self._running, {}
        for call in running.values():
            call.wire_id = 0
            call.fail(error)

    # -- from the child

    def take_part(self, message: wire.Part) -> bool:
        """A part of a result. False: its owner had no room for it, and the call has failed."""
        call = self._running.get(message.id)
        if call is None:
            self.stale_parts += message.id not in self._cancelling
            return True
        call.progress_at = self._clock()
        if not message.data:  # it goes on, and has nothing to show
            return True
        call.said_at = call.progress_at
        if call.take_part(message.data):
            return True
        self.cancel(call)
        call.fail(EngineFailed(f"what {self._label} sent was not read in time"))
        return False

    def end(self, message: wire.Done | wire.Error | wire.Cancelled) -> None:
        """The end of a call, or of one that was cancelled, whose result nobody wants."""
        over = self._running.pop(message.id, None)
        if over is None:
            self._cancelling.pop(message.id, None)
            return
        over.wire_id = 0
        if isinstance(message, wire.Done):
            over.finish(message.result)
        elif isinstance(message, wire.Error):
            over.fail(_ERRORS.get(message.code, EngineFailed)(message.message))
        else:
            over.fail(EngineFailed(f"{self._label} gave up the request"))

    # -- time

    @property
    def grace_due(self) -> float:
        """When the next grace is over; infinity where nothing is being stopped."""
        return min(self._cancelling.values(), default=float("inf"))

    def stalled(self, still_s: float, silent_s: float) -> bool:
        """Whether the engine has done nothing for a request for `still_s`, or has had nothing to
        show of it for `silent_s`.

        Jobs may take their time, and a request whose audio still comes in waits for us: its
        time begins with the end of the audio.
        """
        now = self._clock()
        return any(
            (now - call.progress_at > still_s or now - call.said_at > silent_s)
            and call.audio_at is None
            and call.priority is not Priority.JOB
            for call in self._running.values()
        )

    def unfed(self, seconds: float) -> list[Call]:
        """Speculation that has had no audio for so long."""
        limit = self._clock() - seconds
        return [
            call
            for call in self._running.values()
            if call.audio_at is not None
            and call.audio_at < limit
            and call.priority is Priority.SPECULATION
        ]

    def _send(self, message: wire.ToChild) -> None:
        if self.link is not None:
            self.link.send(wire.encode(message))
