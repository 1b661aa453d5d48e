"""What one more session costs in memory.

Read from the anonymous pages of the processes, as the growth from one session to many within one
daemon: one session has already imported, compiled and warmed up all that the first use of it
costs. Each round has a daemon of its own, since memory once used is not given back whole: a
second load in the same daemon would find it there, and seem to cost next to nothing.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

import msgspec

from voiced.bench.daemon import open_daemon, stub_engines
from voiced.bench.sessions import run_step
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voiced.bench.sessions import Step

# Long enough for a whole turn with its transcription, and the pause after it.
FIRST_USE_S: Final = 8.0


class Round(msgspec.Struct, frozen=True):
    """Growth from one session to `sessions` in a fresh daemon, in bytes for each of them."""

    sessions: int
    tree_bytes: float
    """All processes: the engines' buffers too."""
    daemon_bytes: float
    """The daemon's own process."""
    audio_bytes: float
    """Of these, audio of clients that the daemon says it holds."""

    @property
    def beyond_audio(self) -> float:
        """What the daemon needs to have the session at all."""
        return self.daemon_bytes - self.audio_bytes


class MemoryCost(msgspec.Struct, frozen=True):
    """Mean and standard deviation over rounds, in bytes for a session; no deviation from one."""

    rounds: int
    sessions: int
    tree: tuple[float, float]
    daemon: tuple[float, float]
    audio: tuple[float, float]
    beyond_audio: tuple[float, float]


async def measure_memory(
    sessions: int,
    *,
    frame_ms: int,
    seconds: float,
    pcm: bytes,
    rounds: int,
    tell: Callable[[Round], None],
) -> MemoryCost:
    """Measure `rounds` fresh daemons, with `sessions` (2 or more) that stream for `seconds`.

    Raises `ClientError` where the sessions cannot be opened.
    """
    done: list[Round] = []
    for _ in range(rounds):
        async with open_daemon(stub_engines()) as daemon:
            one = await run_step(1, frame_ms=frame_ms, seconds=FIRST_USE_S, pcm=pcm, daemon=daemon)
            many = await run_step(
                sessions, frame_ms=frame_ms, seconds=seconds, pcm=pcm, daemon=daemon
            )
        done.append(growth(one, many))
        tell(done[-1])
    return summarise_rounds(done)


def growth(one: Step, many: Step) -> Round:
    """What each further session of `many` added to `one`."""
    if one.audio_bytes is None or many.audio_bytes is None:
        raise ClientError("the daemon does not say how much audio it holds")
    more = many.sessions - one.sessions
    return Round(
        sessions=many.sessions,
        tree_bytes=(many.usage.heap_bytes - one.usage.heap_bytes) / more,
        daemon_bytes=(many.usage.root_heap_bytes - one.usage.root_heap_bytes) / more,
        audio_bytes=(many.audio_bytes - one.audio_bytes) / more,
    )


def summarise_rounds(rounds: Sequence[Round]) -> MemoryCost:
    """Mean and spread of at least one round."""

    def spread(values: Sequence[float]) -> tuple[float, float]:
        return fmean(values), stdev(values) if len(values) > 1 else float("nan")

    return MemoryCost(
        rounds=len(rounds),
        sessions=rounds[0].sessions,
        tree=spread([one.tree_bytes for one in rounds]),
        daemon=spread([one.daemon_bytes for one in rounds]),
        audio=spread([one.audio_bytes for one in rounds]),
        beyond_audio=spread([one.beyond_audio for one in rounds]),
    )
