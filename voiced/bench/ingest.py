"""What it costs to take in audio: decoding an append, and the daemon's whole receive path.

Both are paired: what is compared runs in turns within one run, and the figures are ratios.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from voiced.bench.daemon import Daemon, end_process, open_daemon, stub_engines
from voiced.bench.lines import Lines
from voiced.bench.load import RATE_HZ, Load, LoadReport
from voiced.bench.sessions import generate
from voiced.bench.stats import Summary, summarise
from voiced.realtime.wire import Append, decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

FRAME_MS: Final = (20, 40, 100, 200, 500, 1000)
_BLOCK_S: Final = 0.02
_CONNECT_S: Final = 60.0

# Nothing listens for speech, so what is measured is the way in and not Silero.
SESSION: Final[dict[str, Any]] = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}

DAEMON: Final = "the daemon"
BARE: Final = "bare loop"
PLAIN: Final = "bare loop, json, base64"
# Both are voiced.bench.bare: trio and wsproto, and nothing else.


class AppendCost(msgspec.Struct, frozen=True, kw_only=True):
    """One append of `frame_ms`, in microseconds of CPU, and the library's over ours, by pair."""

    frame_ms: int
    ours_us: Summary
    library_us: Summary
    ratio: Summary


class ReceiveCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one append costs each server, in microseconds of CPU beyond its idling, and the
    daemon's over each of the others, by round."""

    frame_ms: int
    sessions: int
    cost_us: dict[str, Summary]
    idle_percent: dict[str, float]
    ratio: dict[str, Summary]


# -- one append, in this process


def message_of(pcm: bytes) -> str:
    """An `input_audio_buffer.append` as the official clients send it."""
    audio = base64.b64encode(pcm).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def decode_ours(message: str) -> bytes:
    """As the daemon does, with all that it checks."""
    event = decode(message)
    assert isinstance(event, Append)
    return event.audio


def decode_with_library(message: str) -> bytes:
    """As one does with the standard library, without a check."""
    event = json.loads(message)
    return base64.b64decode(event["audio"])


def compare_appends(pcm: bytes, *, pairs: int, tell: Callable[[], None]) -> list[AppendCost]:
    """Decode appends of each length by turns, with blocks of about 20 ms of CPU time."""
    costs = []
    for frame_ms in FRAME_MS:
        size = RATE_HZ * frame_ms // 1000 * 2
        message = message_of((pcm * ceil(size / len(pcm)))[:size])
        assert decode_ours(message) == decode_with_library(message)
        costs.append(_compare(message, frame_ms, pairs))
        tell()
    return costs


def _compare(message: str, frame_ms: int, pairs: int) -> AppendCost:
    repeats = max(int(_BLOCK_S / _time(decode_with_library, message, 10)), 10)
    ours, library = [], []
    for number in range(pairs):
        # Whoever comes second finds the caches warm: by turns.
        for first in (number % 2 == 0, number % 2 != 0):
            if first:
                ours.append(_time(decode_ours, message, repeats) * 1e6)
            else:
                library.append(_time(decode_with_library, message, repeats) * 1e6)
    return AppendCost(
        frame_ms=frame_ms,
        ours_us=summarise(ours),
        library_us=summarise(library),
        ratio=summarise([theirs / own for own, theirs in zip(ours, library, strict=True)]),
    )


def _time(take: Callable[[str], bytes], message: str, repeats: int) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    for _ in range(repeats):
        take(message)
    return (time.process_time() - began) / repeats


# -- the whole way in, of other processes


def cpu_s_of(pid: int) -> float:
    """CPU seconds of a process, all its threads, to the nanosecond.

    By its CPU clock, whose id Linux makes of the process id (clock_getcpuclockid(3)); `cpu_times`
    of psutil counts hundredths of a second. Raises OSError when there is no such process.
    """
    return time.clock_gettime((~pid << 3) | 2)


@asynccontextmanager
async def open_bare(*arguments: str) -> AsyncGenerator[Daemon, None]:
    """A `voiced.bench.bare` in a process of its own, in the place of a daemon."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-P", "-m", "voiced.bench.bare", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        port = msgspec.json.decode(await Lines(process, "the bare server").read_within(_CONNECT_S))[
            "port"
        ]
        yield Daemon(f"ws://127.0.0.1:{port}/v1/realtime", pid=process.pid)
    finally:
        await end_process(process)


async def compare_receiving(
    pcm: bytes,
    *,
    sessions: int,
    frame_ms: int,
    rounds: int,
    seconds: float,
    tell: Callable[[], None],
) -> ReceiveCost:
    """Stream to each server by turns, at the pace of speech. Raises `VoicedError`."""
    async with (
        open_daemon(stub_engines()) as daemon,
        open_bare() as bare,
        open_bare("--decode") as plain,
    ):
        servers = {DAEMON: daemon, BARE: bare, PLAIN: plain}
        idle = await _idle(servers, seconds)
        costs: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(rounds):
            order = list(servers) if number % 2 == 0 else list(reversed(servers))
            for name in order:
                cost_s = await _stream(
                    servers[name], pcm, sessions, frame_ms, seconds, idle_share=idle[name]
                )
                costs[name].append(cost_s * 1e6)
                tell()
    return ReceiveCost(
        frame_ms=frame_ms,
        sessions=sessions,
        cost_us={name: summarise(taken) for name, taken in costs.items()},
        idle_percent={name: share * 100 for name, share in idle.items()},
        ratio={
            name: summarise([own / other for own, other in zip(costs[DAEMON], taken, strict=True)])
            for name, taken in costs.items()
            if name != DAEMON
        },
    )


async def _idle(servers: Mapping[str, Daemon], seconds: float) -> dict[str, float]:
    """The share of a core that each takes while nobody is connected."""
    before = {name: _cpu_s(server) for name, server in servers.items()}
    began = trio.current_time()
    await trio.sleep(seconds)
    elapsed_s = trio.current_time() - began
    return {name: (_cpu_s(servers[name]) - before[name]) / elapsed_s for name in servers}


async def _stream(
    server: Daemon, pcm: bytes, sessions: int, frame_ms: int, seconds: float, *, idle_share: float
) -> float:
    """CPU seconds of the server's own process for one append."""
    address = server.address
    load = Load(
        host=address.host,
        port=address.port,
        resource=address.resource,
        token="",
        sessions=sessions,
        frame_ms=frame_ms,
        seconds=seconds + _CONNECT_S,
        pcm=pcm,
        session=SESSION,
    )
    async with generate(load) as generator:
        lines = Lines(generator, "the load generator")
        await lines.read_within(_CONNECT_S)
        before, began = _cpu_s(server), trio.current_time()
        await trio.sleep(seconds)
        used_s, elapsed_s = _cpu_s(server) - before, trio.current_time() - began
        assert generator.stdin is not None
        await generator.stdin.aclose()
        report = msgspec.json.decode(await lines.read_within(_CONNECT_S), type=LoadReport)
    return (used_s - idle_share * elapsed_s) / (report.frames / report.wall_s * elapsed_s)


def _cpu_s(server: Daemon) -> float:
    assert server.pid is not None
    return cpu_s_of(server.pid)
