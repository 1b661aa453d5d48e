"""How many sessions a daemon holds that stream speech at real-time pace, and what each costs."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.bench.daemon import end_process, open_daemon, stub_engines
from voiced.bench.http import get_json
from voiced.bench.lines import Lines
from voiced.bench.load import Load, LoadReport
from voiced.bench.stats import fit_slope, largest_passing
from voiced.bench.tree import Usage, measure_tree

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from voiced.bench.daemon import Daemon
    from voiced.bench.stats import Slope

LAG_GOAL_MS: Final = 10.0
# What a generator that keeps its own pace may be late, its own millisecond included.
_GENERATOR_LATE_MS: Final = 20.0
_CONNECT_S: Final = 60.0

# Turns are detected, committed and transcribed (by the stub), as with people; nothing answers,
# since synthesis and playing of replies are another measure.
SESSION: Final[dict[str, Any]] = {
    "type": "realtime",
    "audio": {
        "input": {
            "transcription": {"model": "voiced"},
            "turn_detection": {"type": "server_vad", "create_response": False},
        }
    },
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One number of sessions, tried."""

    sessions: int
    passed: bool
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    lag_samples: int
    cpu_percent: float
    usage: Usage
    audio_bytes: int | None
    streamed_s: float
    load: LoadReport

    @property
    def generator_kept_up(self) -> bool:
        return self.load.late_p99_ms <= _GENERATOR_LATE_MS


def with_pauses(pcm: bytes) -> bytes:
    """Speech and as much silence: what a stream of conversation is, half and half."""
    return pcm + bytes(len(pcm))


def generate(load: Load) -> AbstractAsyncContextManager[trio.Process]:
    """The load generator, connected and streaming; ended by closing its standard input."""
    return helping("voiced.bench.load", load)


@asynccontextmanager
async def helping(module: str, order: msgspec.Struct) -> AsyncGenerator[trio.Process, None]:
    """`python -m module`, which got `order` as a line; killed at the end of the context."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        await process.stdin.send_all(msgspec.json.encode(order) + b"\n")
        yield process
    finally:
        await end_process(process)


def load_of(daemon: Daemon, sessions: int, frame_ms: int, seconds: float, pcm: bytes) -> Load:
    """So many sessions that stream `pcm` over and over, for so long once they are connected."""
    address = daemon.address
    return Load(
        host=address.host,
        port=address.port,
        resource=address.resource,
        token=daemon.token,
        sessions=sessions,
        frame_ms=frame_ms,
        seconds=seconds + _CONNECT_S,
        pcm=with_pauses(pcm),
        session=SESSION,
    )


async def run_step(
    sessions: int, *, frame_ms: int, seconds: float, pcm: bytes, daemon: Daemon | None = None
) -> Step:
    """Stream from so many sessions for so long, to a fresh daemon unless one is given.

    Loop lag is the daemon's own, over its window of at most a minute, which in a fresh daemon
    begins with the connecting. CPU is that of the whole tree while all stream; memory is read
    at the end. Raises `ClientError` where the sessions cannot be opened.
    """
    if daemon is None:
        async with open_daemon(stub_engines()) as fresh:
            return await _measure(fresh, sessions, frame_ms, seconds, pcm)
    return await _measure(daemon, sessions, frame_ms, seconds, pcm)


async def _measure(
    daemon: Daemon, sessions: int, frame_ms: int, seconds: float, pcm: bytes
) -> Step:
    load = load_of(daemon, sessions, frame_ms, seconds, pcm)
    async with generate(load) as generator:
        lines = Lines(generator, "the load generator")
        await lines.read_within(_CONNECT_S)
        connected = trio.current_time()
        before = await _usage(daemon)
        began = trio.current_time()
        await trio.sleep_until(connected + seconds)
        after = await _usage(daemon)
        elapsed_s = trio.current_time() - began
        health = await get_json(daemon.address, "/health", within_s=30.0)
        assert generator.stdin is not None
        await generator.stdin.aclose()
        report = msgspec.json.decode(await lines.read_within(30.0), type=LoadReport)
    lag = health.get("loop_lag_ms") or {}
    p99 = float(lag.get("p99", "nan"))
    return Step(
        sessions=sessions,
        passed=p99 <= LAG_GOAL_MS and not report.lost,
        lag_p50_ms=float(lag.get("p50", "nan")),
        lag_p99_ms=p99,
        lag_max_ms=float(lag.get("max", "nan")),
        lag_samples=int(lag.get("samples", 0)),
        cpu_percent=(after.cpu_s - before.cpu_s) / elapsed_s * 100,
        usage=after,
        audio_bytes=health.get("audio_bytes"),
        streamed_s=trio.current_time() - connected,
        load=report,
    )


async def _usage(daemon: Daemon) -> Usage:
    if daemon.pid is None:
        return Usage(0, 0, 0, 0, 0, 0, 0, 0.0)
    # Reading PSS walks page tables for milliseconds: not on this loop, which paces nothing
    # but would be late for the generator's pipe.
    return await trio.to_thread.run_sync(measure_tree, daemon.pid)


async def find_capacity(
    *,
    lowest: int,
    highest: int,
    frame_ms: int,
    seconds: float,
    pcm: bytes,
    daemon: Daemon | None = None,
    tell: Callable[[Step], None],
) -> list[Step]:
    """Try numbers of sessions until the largest that passes is known to about a tenth.

    Each is a step of its own; `tell` is called after each.
    """
    steps: list[Step] = []
    tried: dict[int, bool] = {}
    while True:
        passed = max((number for number, ok in tried.items() if ok), default=lowest)
        number = largest_passing(lowest, highest, tried, grain=max(passed // 10, 1))
        if number is None:
            return steps
        step = await run_step(number, frame_ms=frame_ms, seconds=seconds, pcm=pcm, daemon=daemon)
        steps.append(step)
        tried[number] = step.passed
        tell(step)


def cpu_of_session(steps: Sequence[Step]) -> Slope:
    """Percent of a core for one more session: the slope over the numbers of sessions tried.

    Only steps that passed count where there are two of them: an overloaded daemon is at its end.
    """
    passing = [step for step in steps if step.passed]
    used = passing if len(passing) > 1 else list(steps)
    return fit_slope([float(step.sessions) for step in used], [step.cpu_percent for step in used])
