"""Barge-in as its client sees it: how soon the daemon falls silent, and how much it was ahead."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.stats import Summary, summarise
from voiced.client.connection import append_event, open_client
from voiced.client.exchange import SPOKEN_SESSION
from voiced.client.microphone import INPUT_RATE_HZ
from voiced.client.turn import REPLY_RATE_HZ, TurnRecorder
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voiced.bench.clip import Clip
    from voiced.bench.daemon import Daemon
    from voiced.client.connection import RealtimeClient

_WITHIN_S: Final = 30.0
# How far into the reply the speaker interrupts.
_EARLIEST_S: Final = 0.5
_LATEST_S: Final = 1.5
REPLY_S: Final = 6.0
"""How long a reply must at least be, so that it is still being sent when interrupted."""


class BargeIn(msgspec.Struct, frozen=True):
    """One interruption, from the onset of the speech that interrupts."""

    signal_ms: float
    """To `speech_started`."""
    last_stale_ms: float
    """To the last audio of the interrupted response; 0 where none came after the onset."""
    unplayed_s: float
    """Audio at the client, not yet played, when the signal came: what it has to throw away."""
    most_ahead_s: float
    """The most audio that was ahead of real time at the client at any moment."""


class OpenMicrophone:
    """A microphone that is always open: silence, and speech when told to."""

    def __init__(self, clip: Clip, frame_ms: int) -> None:
        self._frame_s = frame_ms / 1000
        frame_bytes = INPUT_RATE_HZ * frame_ms // 1000 * 2
        self._silence = append_event(bytes(frame_bytes))
        self._speech = [
            append_event(clip.pcm[at : at + frame_bytes].ljust(frame_bytes, b"\0"))
            for at in range(0, len(clip.pcm), frame_bytes)
        ]
        self._onset_frame = int(clip.onset_s / self._frame_s)
        self._next: int | None = None
        self.onset: float | None = None

    def speak(self) -> None:
        """Say the clip, from the next frame on; `onset` is set when its speech begins."""
        self._next = 0
        self.onset = None

    async def play(self, client: RealtimeClient) -> None:
        """Send frames at their pace until cancelled."""
        begun = trio.current_time()
        frame = 0
        while True:
            frame += 1
            await trio.sleep_until(begun + frame * self._frame_s)
            message = self._silence
            if self._next is not None and self._next < len(self._speech):
                message = self._speech[self._next]
                if self._next == self._onset_frame:
                    self.onset = trio.current_time()
                self._next += 1
            await client.send_text(message)


async def measure_barge_in(
    daemon: Daemon, clip: Clip, frame_ms: int, rng: random.Random
) -> BargeIn:
    """Ask something, interrupt the reply at a random moment. Raises `ClientError`."""
    with trio.move_on_after(_WITHIN_S):
        async with open_client(daemon.url, daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            microphone = OpenMicrophone(clip, frame_ms)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(microphone.play, client)
                microphone.speak()
                result = await _interrupt(client, microphone, rng)
                nursery.cancel_scope.cancel(reason="the interruption was measured")
            return result
    raise ClientError(f"an interruption took longer than {_WITHIN_S:g} s")


async def _interrupt(
    client: RealtimeClient, microphone: OpenMicrophone, rng: random.Random
) -> BargeIn:
    recorder = TurnRecorder(spoken=True)
    while recorder.marks.first_audio is None:
        received = await client.receive()
        recorder.observe(received.event, received.at)
    interrupt_at = recorder.marks.first_audio + rng.uniform(_EARLIEST_S, _LATEST_S)
    while True:
        with trio.CancelScope(deadline=interrupt_at) as waiting:
            received = await client.receive()
            recorder.observe(received.event, received.at)
        if waiting.cancelled_caught:
            break
    if recorder.status:
        raise ClientError(f"the reply was over before it was interrupted: {recorder.status}")
    microphone.speak()
    unplayed_s = 0.0
    started: float | None = None
    over = False
    while not over:
        received = await client.receive()
        recorder.observe(received.event, received.at)
        over = received.type == "response.done"
        if received.type == "input_audio_buffer.speech_started":
            started = received.at
            played_s = started - recorder.marks.first_audio
            unplayed_s = max(len(recorder.audio) / 2 / REPLY_RATE_HZ - played_s, 0.0)
    onset = microphone.onset
    if started is None or onset is None:
        raise ClientError("the interruption was not noticed before the reply was over")
    last = recorder.marks.last_audio or onset
    return BargeIn(
        signal_ms=(started - onset) * 1000,
        last_stale_ms=max(last - onset, 0.0) * 1000,
        unplayed_s=unplayed_s,
        most_ahead_s=recorder.most_ahead_s,
    )


async def measure_barge_ins(
    daemon: Daemon, clip: Clip, *, times: int, frame_ms: int, advance: Callable[[float], None]
) -> list[BargeIn]:
    """So many interruptions, one after the other, at moments that are the same in every run."""
    rng = random.Random(1)
    measured: list[BargeIn] = []
    for done in range(1, times + 1):
        measured.append(await measure_barge_in(daemon, clip, frame_ms, rng))
        advance(done)
    return measured


def report_barge_ins(measured: Sequence[BargeIn]) -> dict[str, Summary]:
    """Each figure summarised, by its name."""
    return {
        name: summarise([getattr(one, name) for one in measured])
        for name in BargeIn.__struct_fields__
    }
