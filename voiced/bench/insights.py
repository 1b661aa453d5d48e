"""How soon those who watch a daemon learn what happens in it, and whether one of them can hurt."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import Request

from voiced.bench.causing import CAUSES_S
from voiced.bench.daemon import open_daemon
from voiced.bench.http import get_json
from voiced.bench.lines import Lines
from voiced.bench.observers import Seen, Watchers
from voiced.bench.sessions import generate, helping, load_of
from voiced.bench.stats import Summary, summarise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from voiced.bench.daemon import Daemon

GOAL_MS: Final = 200.0
CONNECT_S: Final = 60.0
SETTLE_S: Final = 2.0
"""Before the window, so that connecting is over, and behind it, for what is on its way."""

SLOW_READ_BYTES: Final = 1_024
SLOW_EVERY_S: Final = 0.5
SLOW_BUFFER_BYTES: Final = 2_048
"""A reader of 2,048 bytes a second at most, where 5,000 and more come, and with next to no room in
its kernel. The daemon may drop it, or send it less; either is told."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured together."""

    observers: int
    sessions: int
    slow: bool
    frame_ms: int = 20


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. All observers together got `messages_s` in a second, from the sessions, too.
    `missing` counts warnings and errors that one of them never got, `lost` observers that were cut
    off; `merged` messages stood for others; `behind` is what was left out, as they were told."""

    case: Case
    latency_ms: Summary
    messages_s: float
    missing: int
    lost: int
    merged: int
    behind: int
    lag_p99_ms: float
    slow_stayed: bool | None

    @property
    def passed(self) -> bool:
        """Whether it is as soon as it should be, and whole."""
        return self.latency_ms.p95 <= GOAL_MS and not self.missing + self.lost


async def measure(case: Case, environ: Mapping[str, str], seconds: float, pcm: bytes) -> Outcome:
    """Watch a fresh daemon for so long. Raises `ClientError` where it cannot be reached."""
    most = {"VOICED_LIMITS__OBSERVERS": str(case.observers + 8)}
    async with AsyncExitStack() as stack:
        opened = open_daemon({**environ, **most}, module="voiced.bench.causing")
        daemon = await stack.enter_async_context(opened)
        if case.sessions:
            await stack.enter_async_context(streaming(daemon, case, seconds, pcm))
        slow = None
        if case.slow:
            slow = await stack.enter_async_context(slow_observer(daemon))
        return await _watch(daemon, case, seconds, slow)


async def _watch(daemon: Daemon, case: Case, seconds: float, slow: SlowObserver | None) -> Outcome:
    address = daemon.address
    watchers = Watchers(
        host=address.host,
        port=address.port,
        resource=address.resource,
        token=daemon.token,
        observers=case.observers,
        settle_s=SETTLE_S,
        seconds=seconds,
    )
    async with helping("voiced.bench.observers", watchers) as process:
        lines = Lines(process, "the process of the observers")
        await lines.read_within(CONNECT_S)
        await trio.sleep(SETTLE_S + seconds + SETTLE_S)
        health = await get_json(address, "/health", within_s=30.0)
        assert process.stdin is not None
        await process.stdin.aclose()
        seen = msgspec.json.decode(await lines.read_within(CONNECT_S), type=Seen)
    lag = health.get("loop_lag_ms") or {}
    return Outcome(
        case=case,
        latency_ms=summarise(seen.latencies_ms),
        messages_s=seen.messages / seconds,
        missing=seen.missing,
        lost=seen.lost,
        merged=seen.merged,
        behind=seen.behind,
        lag_p99_ms=float(lag.get("p99", "nan")),
        slow_stayed=None if slow is None else not slow.ended,
    )


@asynccontextmanager
async def streaming(daemon: Daemon, case: Case, seconds: float, pcm: bytes) -> AsyncIterator[None]:
    """So many sessions that stream speech meanwhile."""
    load = load_of(daemon, case.sessions, case.frame_ms, seconds, pcm)
    async with generate(load) as generator:
        await Lines(generator, "the load generator").read_within(CONNECT_S)
        yield


class SlowObserver:
    """One that takes a few bytes now and then, for ever."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.ended = False

    async def read(self) -> None:
        """Until cancelled, or cut off."""
        with suppress(trio.BrokenResourceError):
            while not self.ended:
                self.ended = not await self._stream.receive_some(SLOW_READ_BYTES)
                await trio.sleep(SLOW_EVERY_S)
        self.ended = True


@asynccontextmanager
async def slow_observer(daemon: Daemon) -> AsyncIterator[SlowObserver]:
    """One who hardly reads, for the time of the context."""
    address = daemon.address
    protocol = WSConnection(ConnectionType.CLIENT)
    target = f"{address.resource}?intent=insights"
    request = protocol.send(Request(host=address.netloc, target=target))
    raw = trio.socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER_BYTES)
    async with trio.SocketStream(raw) as stream, trio.open_nursery() as nursery:
        await raw.connect((address.host, address.port))
        await stream.send_all(request)
        slow = SlowObserver(stream)
        nursery.start_soon(slow.read)
        yield slow
        nursery.cancel_scope.cancel(reason="it has been slow for long enough")


def caused(outcome: Outcome, seconds: float) -> float:
    """The share that came of what should have: causes times observers."""
    return outcome.latency_ms.n / (CAUSES_S * seconds * outcome.case.observers)
