"""What the benches make of turns, health and processes, tried on scripted peers and themselves."""

from __future__ import annotations

import json
import os
import random
from functools import partial
from typing import TYPE_CHECKING

import psutil
import pytest
import trio
from rich.console import Console

from tests.client.scripted_peer import Peer, serve_script
from voiced.bench.barge_in import BargeIn, measure_barge_in, report_barge_ins
from voiced.bench.clip import Clip, make_clip
from voiced.bench.daemon import Daemon, open_daemon
from voiced.bench.http import get_json
from voiced.bench.report import print_barge_ins, print_soak, print_turns, write_json
from voiced.bench.soak import Outcome, Sample, judge
from voiced.bench.tree import measure_tree
from voiced.bench.turn import (
    TurnFigures,
    measure_crowd,
    measure_paired,
    overhead_ms,
    report_turns,
)
from voiced.client.address import parse_address
from voiced.errors import AudioError, ClientError, StartupError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIP = Clip(b"\x10\x20" * 2400, 0.0, 0.08, "a tone")


async def answer(peer: Peer) -> None:
    await peer.greet()
    session = await peer.expect("session.update")
    detection = {"type": "server_vad", "silence_duration_ms": 200}
    echoed = {**session["session"], "audio": {"input": {"turn_detection": detection}}}
    await peer.send("session.updated", session=echoed)
    await peer.hear(4800)
    await peer.commit_speech()
    await peer.begin_response()
    await peer.transcribe("hello")
    await peer.speak("Hi.", bytes(4800))
    timing = {"stt": 1.0, "llm_first_text": 2.0, "tts_first_audio": 3.0, "total": 8.0}
    await peer.end_response(voiced={"timing_ms": timing})
    await peer.linger()


async def test_stages_add_up_to_the_whole() -> None:
    async with serve_script(answer) as url:
        taken = await measure_paired(
            {"one": Daemon(url), "two": Daemon(url)},
            CLIP,
            turns=2,
            frame_ms=20,
            advance=lambda done: None,
        )
    assert {name: len(figures) for name, figures in taken.items()} == {"one": 2, "two": 2}
    for figures in taken["one"]:
        assert figures.silence_ms == 200
        assert figures.stages["server"] == pytest.approx(2.0)
        assert sum(figures.stages.values()) == pytest.approx(figures.first_audio_ms)


async def test_crowd_takes_all_its_turns() -> None:
    async with serve_script(answer) as url:
        figures = await measure_crowd(
            Daemon(url), CLIP, sessions=3, turns=2, frame_ms=20, advance=lambda done: None
        )
    assert len(figures) == 6


async def test_failed_response_is_no_figure() -> None:
    async def fail(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(4800)
        await peer.commit_speech()
        await peer.transcribe("")
        await peer.begin_response()
        await peer.end_response(status="failed")
        await peer.linger()

    async with serve_script(fail) as url:
        with pytest.RaisesGroup(ClientError, flatten_subgroups=True):
            await measure_crowd(
                Daemon(url), CLIP, sessions=1, turns=1, frame_ms=20, advance=lambda done: None
            )


def test_overhead_is_beyond_stubs_and_silence() -> None:
    figures = TurnFigures(500.0, 516.0, 200.0, 0.0, 0.0, {})
    assert overhead_ms(figures) == 66.0


async def test_barge_in_is_timed_from_its_onset() -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.accept_update()
        await peer.hear(4800)
        await peer.commit_speech()
        await peer.begin_response()
        await peer.speak("A long story", bytes(48_000))
        # The interruption is the first audio that is not silence again.
        while not any(await peer.hear_frame()):
            pass
        await peer.send("input_audio_buffer.speech_started", audio_start_ms=1, item_id="item_u2")
        await peer.speak("stale", bytes(4800))
        details = {"type": "cancelled", "reason": "turn_detected"}
        await peer.end_response(status="cancelled", status_details=details)
        await peer.linger()

    async with serve_script(script) as url:
        measured = await measure_barge_in(Daemon(url), CLIP, 20, random.Random(1))
    assert measured.signal_ms >= 0
    assert measured.last_stale_ms >= measured.signal_ms
    assert measured.most_ahead_s == pytest.approx(1.0)
    assert 0 <= measured.unplayed_s < 1.0


@pytest.fixture
async def json_server() -> AsyncIterator[str]:
    """Answers any request by its path: `/health` with figures, others with nonsense."""

    async def handle(stream: trio.SocketStream) -> None:
        request = await stream.receive_some()
        body = b'{"tasks": 7}' if b"GET /health" in request else b"nonsense"
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await stream.receive_some()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, handle, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel(reason="the test is over")


async def test_health_is_fetched_though_the_server_keeps_the_connection(json_server: str) -> None:
    assert await get_json(parse_address(json_server), "/health") == {"tasks": 7}


async def test_answer_that_is_no_json_is_an_error(json_server: str) -> None:
    with pytest.raises(ClientError, match="JSON"):
        await get_json(parse_address(json_server), "/other")
    with pytest.raises(ClientError, match="failed"):
        await get_json(parse_address("ws://127.0.0.1:1"), "/health")


def test_tree_counts_itself() -> None:
    usage = measure_tree(os.getpid())
    assert usage.processes >= 1
    assert usage.descriptors >= 3
    assert usage.pss_bytes > 1_000_000
    assert 1_000_000 < usage.root_heap_bytes <= usage.heap_bytes
    with pytest.raises(psutil.NoSuchProcess):
        measure_tree(2**22 + 1)


async def test_daemon_that_does_not_start_says_why() -> None:
    with pytest.raises(StartupError, match="nonsense"):
        async with open_daemon({"VOICED_STT__ENGINE": "nonsense"}):
            pass


def test_clip_without_speech_is_refused() -> None:
    with pytest.raises(AudioError, match="no speech"):
        make_clip(bytes(48_000), "silence")


def test_leak_is_seen_and_noise_is_not() -> None:
    rng = random.Random(3)

    def sample(turns: int, *, leak: float) -> Sample:
        tasks = 20 + round(leak * turns)
        pss = 150_000_000 + rng.randrange(200_000)
        return Sample(turns, 12, 4, 30, tasks, pss)

    steady = judge([sample(turns, leak=0) for turns in range(50, 1001, 50)])
    leaking = judge([sample(turns, leak=0.01) for turns in range(50, 1001, 50)])
    assert not any(one.grows for one in steady.values())
    assert [name for name, one in leaking.items() if one.grows] == ["tasks"]
    assert leaking["tasks"].slope == pytest.approx(10, abs=1)


def test_reports_are_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [TurnFigures(500.0, 516.0 + n, 200.0, 1.0, 0.4, {}) for n in range(10)]
    report = report_turns("stub engines", figures, stubs=True)
    barge_ins = report_barge_ins([BargeIn(150.0, 160.0, 0.3, 0.4)])
    console = Console(width=120)
    print_turns(console, [report], "a tone")
    print_barge_ins(console, barge_ins)
    print_soak(console, judge([Sample(n, 1, 1, 1, 1, 1) for n in (50, 100, 150)]), Outcome())
    printed = capsys.readouterr().out
    assert "beyond stubs and silence" in printed
    assert "speech_started" in printed
    assert "steady" in printed
    write_json({"turns": [report], "nothing": float("nan")})
    data = json.loads(capsys.readouterr().out)
    assert data["turns"][0]["overhead_ms"]["median"] == 70.5
    assert data["nothing"] is None
