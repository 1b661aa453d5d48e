"""`voiced bench ingest`: what is compared does the same work, and is paid for by who does it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import trio

from tests.patience import CEILING_S
from voiced.bench.ingest import (
    BARE,
    DAEMON,
    FRAME_MS,
    PLAIN,
    compare_appends,
    compare_receiving,
    cpu_s_of,
    decode_ours,
    decode_with_library,
    message_of,
    open_bare,
)
from voiced.client.dial import open_stream, upgrade

PCM = bytes(range(256)) * 200


def test_both_decoders_find_the_same_audio() -> None:
    message = message_of(PCM)
    assert decode_ours(message) == decode_with_library(message) == PCM


def test_every_length_is_compared_in_pairs() -> None:
    told: list[None] = []
    costs = compare_appends(PCM, pairs=2, tell=lambda: told.append(None))
    assert [cost.frame_ms for cost in costs] == list(FRAME_MS)
    assert len(told) == len(FRAME_MS)
    for cost in costs:
        assert cost.ours_us.n == cost.library_us.n == cost.ratio.n == 2
        least, most = (
            cost.library_us.least / cost.ours_us.most,
            (cost.library_us.most / cost.ours_us.least),
        )
        assert least <= cost.ratio.median <= most


BUSY = "import sys\nfor line in sys.stdin: [None for _ in range(3_000_000)]; print(flush=True)"


def test_the_clock_of_another_process_counts_its_work_and_not_its_waiting() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def work() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            print(file=process.stdin, flush=True)
            process.stdout.readline()

        work()  # it has started
        before = cpu_s_of(process.pid)
        time.sleep(0.2)
        waited = cpu_s_of(process.pid) - before
        work()
        worked = cpu_s_of(process.pid) - before - waited
        process.stdin.close()
        process.wait(CEILING_S)
    assert waited < worked
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_s_of(process.pid)


@pytest.mark.parametrize("arguments", [(), ("--decode",)])
async def test_the_bare_loop_speaks_websocket(arguments: tuple[str, ...]) -> None:
    with trio.fail_after(CEILING_S):
        async with (
            open_bare(*arguments) as bare,
            open_stream(bare.address, CEILING_S) as stream,
            trio.open_nursery() as nursery,
        ):
            websocket = await upgrade(nursery, stream, bare.address, [])
            await websocket.send_message(message_of(PCM))
            await websocket.ping(b"it has read that far")
            nursery.cancel_scope.cancel(reason="seen")


async def test_the_daemon_is_measured_beside_the_bare_loops() -> None:
    # Six seconds, of a quarter of a second for each stream.
    cost = await compare_receiving(
        PCM, sessions=2, frame_ms=20, rounds=2, seconds=0.25, tell=lambda: None
    )
    assert set(cost.cost_us) == {DAEMON, BARE, PLAIN}
    assert set(cost.ratio) == {BARE, PLAIN}
    assert all(summary.n == 2 for summary in (*cost.cost_us.values(), *cost.ratio.values()))
