"""The benches against a daemon of their own, each as short as it can be."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest
import trio

from tests.patience import CEILING_S
from voiced.bench.barge_in import REPLY_S, measure_barge_in
from voiced.bench.clip import Clip, synthesise_clip
from voiced.bench.daemon import STUB_MS, Daemon, end_process, open_daemon, stub_engines
from voiced.bench.http import get_json
from voiced.bench.memory import Round, measure_memory
from voiced.bench.sessions import run_step
from voiced.bench.soak import Soak
from voiced.bench.turn import STAGES, measure_turn
from voiced.errors import ClientError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def clip() -> Clip:
    return await synthesise_clip()


async def test_turn_has_all_its_stages_and_the_stubs_take_their_time(clip: Clip) -> None:
    async with open_daemon(stub_engines()) as daemon:
        figures = await measure_turn(daemon, clip, 20)
    assert set(figures.stages) == set(STAGES)
    assert figures.silence_ms == 200
    # Not how quick it is, but that the clock is not lied to: a stub waits at least its delay.
    assert figures.stages["stt"] >= STUB_MS["stt"]
    assert figures.stages["assistant"] >= STUB_MS["llm"]
    assert figures.stages["tts"] >= STUB_MS["tts"]


async def test_interruption_is_noticed_while_the_reply_is_sent(clip: Clip) -> None:
    # Five seconds: the question, the reply to be interrupted, and the interruption, at their pace.
    async with open_daemon(stub_engines(audio_s=REPLY_S)) as daemon:
        measured = await measure_barge_in(daemon, clip, 20, random.Random(1))
    assert measured.signal_ms > 0
    assert 0 < measured.most_ahead_s < REPLY_S


async def test_load_is_held_and_measured(clip: Clip) -> None:
    step = await run_step(3, frame_ms=100, seconds=2.0, pcm=clip.pcm)
    assert (step.load.lost, step.load.refusals) == (0, 0)
    assert step.load.frames >= 3 * 10
    assert step.load.events > 0
    assert step.usage.pss_bytes > step.usage.uss_bytes > 0
    assert step.lag_samples > 0


async def test_memory_of_a_session_is_its_audio_and_something_beyond(clip: Clip) -> None:
    # Ten seconds: one session's first turn, then eight that have been heard for two.
    rounds: list[Round] = []
    cost = await measure_memory(
        8, frame_ms=100, seconds=2.0, pcm=clip.pcm, rounds=1, tell=rounds.append
    )
    (one,) = rounds
    assert (one.sessions, cost.rounds) == (8, 1)
    assert one.audio_bytes > 0
    assert one.daemon_bytes > 0
    assert cost.beyond_audio[0] == one.daemon_bytes - one.audio_bytes


async def test_soak_counts_what_it_did(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiced.bench.soak.ROUND", 4)
    stubs = stub_engines(stt_ms=1, llm_ms=1, tts_ms=1, audio_s=0.1)
    async with open_daemon(stubs) as daemon:
        soak = Soak(daemon, clip, at_once=4, seed=1, frame_ms=20)
        await soak.run(4, lambda done: None)
    assert soak.outcome.faults == []
    assert soak.outcome.completed == 4
    assert sum(soak.outcome.cancels.values()) == 4
    (sample,) = soak.samples
    assert sample.tasks > 0


BENCH = """
import trio
from voiced.bench.daemon import open_daemon, stub_engines

async def main():
    async with open_daemon(stub_engines()) as daemon:
        print(daemon.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_daemon_and_its_engines_end_when_the_bench_is_killed(
    number: signal.Signals, tmp_path: Path
) -> None:
    bench = await trio.lowlevel.open_process(
        [sys.executable, "-c", BENCH],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    handles: list[int] = []
    try:
        with trio.fail_after(CEILING_S):
            assert bench.stdout is not None
            said = await bench.stdout.receive_some()
            daemon = psutil.Process(int(said))
            handles = [os.pidfd_open(one.pid) for one in (daemon, *daemon.children())]
            assert len(handles) > 1
            bench.send_signal(number)
            for handle in handles:
                await trio.lowlevel.wait_readable(handle)  # it has ended
    finally:
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        await end_process(bench)


async def test_daemon_is_gone_when_its_context_is_left() -> None:
    async with open_daemon(stub_engines()) as daemon:
        assert (await get_json(daemon.address, "/health"))["sessions"] == 0
        url = daemon.url
    with pytest.raises(ClientError, match="failed"):
        await get_json(Daemon(url).address, "/health")
