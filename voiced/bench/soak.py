"""Many turns and many cancels, and whether anything is left of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from voiced.bench.http import get_json
from voiced.bench.stats import Slope, fit_slope, grows
from voiced.bench.tree import measure_tree
from voiced.client.connection import open_client
from voiced.client.exchange import SPOKEN_SESSION
from voiced.client.turn import TurnRecorder, run_spoken_turn, run_typed_turn
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from voiced.bench.clip import Clip
    from voiced.bench.daemon import Daemon
    from voiced.client.connection import RealtimeClient

ROUND: Final = 50
"""Turns, and cancels, between two samples; the first sample is after the first so many."""

_TURN_S: Final = 60.0
_QUIET_S: Final = 15.0
_POLL_S: Final = 0.1
# Beyond a connection's last second nothing of it should be running.
_SETTLE_S: Final = 1.0
_LATEST_CANCEL_S: Final = 0.6
# One spoken turn in so many; the rest are typed, which is quicker and runs the same machinery.
_SPOKEN_IN: Final = 10

TOLERANCES: Final = {
    "threads": 0.5,
    "processes": 0.5,
    "descriptors": 0.5,
    "tasks": 0.5,
    "heap_bytes": 1_000_000.0,
}
"""Growth per 1,000 turns that is none. For memory: the trimming of an allocator is no leak."""


class Sample(msgspec.Struct, frozen=True):
    """The daemon at rest, after so many turns and as many cancels; memory is its private pages."""

    turns: int
    threads: int
    processes: int
    descriptors: int
    tasks: int
    heap_bytes: int


class Outcome(msgspec.Struct):
    """What became of the turns and the cancels."""

    completed: int = 0
    failed: int = 0
    cancels: dict[str, int] = {}
    faults: list[str] = []


class Growth(msgspec.Struct, frozen=True):
    """One figure over the soak, from the first sample to the last; slopes per 1,000 turns."""

    first: float
    last: float
    slope: float
    error: float
    grows: bool


class Soak:
    """Runs rounds of turns and cancels against one daemon, and samples it at rest between."""

    def __init__(
        self, daemon: Daemon, clip: Clip, *, at_once: int, seed: int, frame_ms: int
    ) -> None:
        self._daemon = daemon
        self._clip = clip
        self._at_once = at_once
        self._frame_ms = frame_ms
        self._rng = random.Random(seed)
        self.outcome = Outcome()
        self.samples: list[Sample] = []

    async def run(self, turns: int, advance: Callable[[float], None]) -> None:
        """Take `turns` turns and as many cancels, a sample after every `ROUND` of both."""
        for done in range(ROUND, turns + 1, ROUND):
            work: list[Callable[[], Awaitable[None]]] = [self._turn] * ROUND
            work += [self._rng.choice(self._disturbances()) for _ in range(ROUND)]
            self._rng.shuffle(work)
            await self._run_round(work)
            self.samples.append(await self._sample(done))
            advance(done)

    def _disturbances(self) -> list[Callable[[], Awaitable[None]]]:
        return [self._cancel, self._vanish_speaking, self._vanish_listening, self._barge_in]

    async def _run_round(self, work: list[Callable[[], Awaitable[None]]]) -> None:
        """Do all of `work`, `at_once` things at a time."""

        async def draw() -> None:
            while work:
                await self._attempt(work.pop())

        async with trio.open_nursery() as nursery:
            for _ in range(self._at_once):
                nursery.start_soon(draw)

    async def _attempt(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            with trio.fail_after(_TURN_S):
                await act()
        except (ClientError, trio.TooSlowError) as exc:
            self.outcome.failed += 1
            if len(self.outcome.faults) < 20:
                self.outcome.faults.append(str(exc) or f"nothing came within {_TURN_S:g} s")

    # -- what is done ----------------------------------------------------------------------

    async def _turn(self) -> None:
        spoken = self._rng.randrange(_SPOKEN_IN) == 0
        async with open_client(self._daemon.url, self._daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            if spoken:
                turn = await run_spoken_turn(client, self._clip.microphone(self._frame_ms))
            else:
                turn = await run_typed_turn(client, "what time is it")
        if turn.status != "completed":
            raise ClientError(f"a response ended as {turn.status}: {turn.status_reason}")
        self.outcome.completed += 1

    async def _cancel(self) -> None:
        """`response.cancel` at a random moment of a typed turn, then another turn."""
        async with open_client(self._daemon.url, self._daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            recorder = await self._start_typed(client)
            await self._listen(client, recorder, self._rng.uniform(0, _LATEST_CANCEL_S))
            if not recorder.status:
                await client.send({"type": "response.cancel"})
            while not recorder.status:
                received = await client.receive()
                if received.event.get("error", {}).get("code") == "response_cancel_not_active":
                    break  # It was over before the cancel came, which is no fault.
                recorder.observe(received.event, received.at)
        self._count("response.cancel")

    async def _vanish_listening(self) -> None:
        """Disconnect at a random moment of a reply."""
        async with open_client(self._daemon.url, self._daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            recorder = await self._start_typed(client)
            await self._listen(client, recorder, self._rng.uniform(0, _LATEST_CANCEL_S))
        self._count("disconnect while answered")

    async def _vanish_speaking(self) -> None:
        """Disconnect in the middle of a word."""
        async with open_client(self._daemon.url, self._daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            microphone = self._clip.microphone(self._frame_ms)
            with trio.move_on_after(self._rng.uniform(self._clip.onset_s, self._clip.end_s)):
                await microphone.play(client)
        self._count("disconnect mid-word")

    async def _barge_in(self) -> None:
        """Speak into the reply to a typed turn, and follow what is answered to that."""
        async with open_client(self._daemon.url, self._daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            recorder = await self._start_typed(client)
            await self._listen(client, recorder, self._rng.uniform(0, _LATEST_CANCEL_S))
            await run_spoken_turn(client, self._clip.microphone(self._frame_ms))
        self._count("barge-in")

    async def _start_typed(self, client: RealtimeClient) -> TurnRecorder:
        content = [{"type": "input_text", "text": "what time is it"}]
        item = {"type": "message", "role": "user", "content": content}
        await client.send({"type": "conversation.item.create", "item": item})
        await client.send({"type": "response.create"})
        return TurnRecorder(spoken=False)

    async def _listen(self, client: RealtimeClient, recorder: TurnRecorder, seconds: float) -> None:
        with trio.move_on_after(seconds):
            while not recorder.status:
                received = await client.receive()
                recorder.observe(received.event, received.at)

    def _count(self, kind: str) -> None:
        self.outcome.cancels[kind] = self.outcome.cancels.get(kind, 0) + 1

    # -- what is left ----------------------------------------------------------------------

    async def _sample(self, turns: int) -> Sample:
        """Read the daemon once it has no session and has settled."""
        await self._wait_quiet()
        await trio.sleep(_SETTLE_S)
        health = await get_json(self._daemon.address, "/health")
        assert self._daemon.pid is not None
        usage = await trio.to_thread.run_sync(measure_tree, self._daemon.pid)
        return Sample(
            turns=turns,
            threads=usage.threads,
            processes=usage.processes,
            descriptors=usage.descriptors,
            tasks=int(health.get("tasks", 0)),
            heap_bytes=usage.heap_bytes,
        )

    async def _wait_quiet(self) -> None:
        with trio.move_on_after(_QUIET_S):
            while True:
                health = await get_json(self._daemon.address, "/health")
                # The request itself is a connection.
                if not health.get("sessions") and health.get("connections", 0) <= 1:
                    return
                await trio.sleep(_POLL_S)
        raise ClientError(f"sessions were still open {_QUIET_S:g} s after their clients had left")


def judge(samples: Sequence[Sample]) -> dict[str, Growth]:
    """Each figure's slope over the turns, and whether it grows beyond its tolerance."""
    thousands = [sample.turns / 1000 for sample in samples]
    growth: dict[str, Growth] = {}
    for name, tolerance in TOLERANCES.items():
        values = [float(getattr(sample, name)) for sample in samples]
        slope: Slope = fit_slope(thousands, values)
        growth[name] = Growth(
            first=values[0],
            last=values[-1],
            slope=slope.slope,
            error=slope.error,
            grows=grows(slope, tolerance),
        )
    return growth
