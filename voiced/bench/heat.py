"""What becomes of a conversation when the processor is slowed down, as a hot one is."""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

import msgspec
import psutil
import trio

from voiced.bench.stats import Summary, summarise
from voiced.bench.turn import TURN_S, read_turn, silence_of, vary_start
from voiced.client.connection import open_client
from voiced.client.exchange import SPOKEN_SESSION
from voiced.client.turn import run_spoken_turn
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from voiced.bench.clip import Clip
    from voiced.bench.daemon import Daemon
    from voiced.bench.quota import CpuGroup

SLOWED: Final = 1500 / 2400
"""What the firmware of a Raspberry Pi 5 leaves of its clock at 80 to 85 °C."""

MOST_RATIO: Final = 1.8
"""How much later an answer may begin then: 1.6 times is the clock's own share."""

GAP_S: Final = 0.02
"""Playback that stands still for less is none: a player has a frame in hand."""


class SlowTurn(msgspec.Struct, frozen=True):
    """One turn: how soon it was answered, and how long its playback stood still at most."""

    first_audio_ms: float
    gap_ms: float


class HeatReport(msgspec.Struct, frozen=True):
    """Turns at full speed and slowed, taken alternately. `periods_at_limit` says in how many
    periods of the quota the daemon had to wait: without any, nothing is shown."""

    cores: int
    share: float
    full_ms: Summary
    slowed_ms: Summary
    ratio_p95: float
    full_gaps: int
    slowed_gaps: int
    worst_gap_ms: float
    periods_at_limit: int

    @property
    def good(self) -> bool:
        """Whether the goals are met, and were put to the test."""
        gaps = self.full_gaps + self.slowed_gaps
        return self.ratio_p95 <= MOST_RATIO and not gaps and self.periods_at_limit > 0


async def measure_heat(
    daemon: Daemon,
    group: CpuGroup,
    clip: Clip,
    *,
    cores: int,
    turns: int,
    frame_ms: int,
    advance: Callable[[float], None],
) -> HeatReport:
    """Take so many turns of each kind with the same daemon. Raises `ClientError`.

    Which goes first changes with each pair, so that what disturbs the machine disturbs both.
    """
    taken: dict[bool, list[SlowTurn]] = {False: [], True: []}
    done = count(1)
    for pair in range(turns):
        for slowed in (False, True) if pair % 2 == 0 else (True, False):
            group.limit(cores * SLOWED if slowed else None)
            taken[slowed].append(await take_turn(daemon, vary_start(clip, pair), frame_ms))
            advance(next(done))
    group.limit(None)
    return summarise_turns(taken[False], taken[True], cores, group.periods_at_limit())


async def take_turn(daemon: Daemon, clip: Clip, frame_ms: int) -> SlowTurn:
    """One spoken turn in a session of its own. Raises `ClientError`."""
    with trio.move_on_after(TURN_S):
        async with open_client(daemon.url, daemon.token) as client:
            await client.configure(SPOKEN_SESSION)
            microphone = clip.microphone(frame_ms)
            turn = await run_spoken_turn(client, microphone)
            figures = read_turn(turn, silence_of(client.session), microphone.latest_s * 1000)
            return SlowTurn(figures.first_audio_ms, turn.longest_gap_s * 1000)
    raise ClientError(f"a turn took longer than {TURN_S:g} s")


def summarise_turns(
    full: Sequence[SlowTurn], slowed: Sequence[SlowTurn], cores: int, periods_at_limit: int
) -> HeatReport:
    """The figures of both."""
    full_ms = summarise([turn.first_audio_ms for turn in full])
    slowed_ms = summarise([turn.first_audio_ms for turn in slowed])
    return HeatReport(
        cores=cores,
        share=SLOWED,
        full_ms=full_ms,
        slowed_ms=slowed_ms,
        ratio_p95=slowed_ms.p95 / full_ms.p95,
        full_gaps=gaps(full),
        slowed_gaps=gaps(slowed),
        worst_gap_ms=max(turn.gap_ms for turn in (*full, *slowed)),
        periods_at_limit=periods_at_limit,
    )


def gaps(turns: Sequence[SlowTurn]) -> int:
    """In how many of them playback stood still."""
    return sum(turn.gap_ms > GAP_S * 1000 for turn in turns)


@contextmanager
def kept_to(pid: int, cores: int, group: CpuGroup) -> Iterator[None]:
    """Keep the daemon and its engines to the first `cores` cores and to the group; this process
    to the others, if there are any, for as long as the context lasts."""
    all_cores = sorted(os.sched_getaffinity(0))
    theirs, ours = all_cores[:cores], all_cores[cores:] or all_cores
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        group.add(process.pid)
        for thread in process.threads():
            os.sched_setaffinity(thread.id, theirs)
    os.sched_setaffinity(0, ours)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
