"""`voiced bench busy`: all engines busy at once, with small models."""

from __future__ import annotations

import json
from math import inf, isnan
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from rich.console import Console

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_shapes import SMALL, write_random
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from tests.patience import CEILING_S
from voiced.__main__ import main
from voiced.bench.busy import BusyReport
from voiced.bench.daemon import open_daemon, stub_engines
from voiced.bench.http import get_json
from voiced.bench.run_engines import print_busy
from voiced.bench.wakes import Wakes, parse_wakes, read_wakes
from voiced.errors import ClientError

if TYPE_CHECKING:
    from pathlib import Path

REPORT = BusyReport(
    models=["tiny"],
    seconds=20.0,
    lag_mean_ms=0.31,
    lag_p50_ms=1.0,
    lag_p99_ms=5.0,
    samples=400,
    bench_p50_ms=2.5,
    bench_p99_ms=50.0,
    cpu_percent=190.0,
    answered={"stt": 9, "llm": 5, "tts": 7},
)


def asked_of(models: Path) -> list[str]:
    return ["bench", "busy", "--models", str(models), "--seconds", "1", "--json"]


@needs_llama
def test_the_loop_is_watched_while_all_engines_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    write_listener(tmp_path / "listener")
    write_random(tmp_path / "small.gguf", SMALL)
    write_voice(tmp_path, "voice")
    code = main(asked_of(tmp_path))
    told = capsys.readouterr()
    report = msgspec.convert(json.loads(told.out)["busy"], BusyReport)
    assert report.models == ["listener", "small", "voice"]
    assert report.seconds >= 1
    # Twenty wakes a second, where none is late: those of the start are none of these.
    assert 0 < report.samples <= report.seconds * 20 + 1
    assert report.lag_p50_ms <= report.lag_p99_ms
    assert 0 < report.bench_p50_ms <= report.bench_p99_ms
    assert set(report.answered) == {"stt", "llm", "tts"}
    assert code == bool(report.missed)
    assert [f"missed: {line}" for line in report.missed] == told.err.splitlines()[1:]


def test_a_kind_without_a_model_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    write_voice(tmp_path, "voice")
    assert main(asked_of(tmp_path)) == 2
    assert "holds no model for stt, llm;" in capsys.readouterr().err


async def test_wakes_are_those_since_another_reading() -> None:
    async with open_daemon(stub_engines()) as daemon:
        with trio.fail_after(CEILING_S):
            while not (before := await read_wakes(daemon.address)).count:
                pass  # it has just begun
        again = await read_wakes(daemon.address)
        health = await get_json(daemon.address, "/health")
    assert before.count <= again.count <= health["loop_lag_ms"]["samples"]
    assert again.since(before).count == again.count - before.count
    assert isnan(again.since(again).mean_ms)


def test_a_quantile_is_the_end_of_its_bucket() -> None:
    early = Wakes(no_later={0.001: 5, 0.005: 9, inf: 10}, sum_s=2.0)
    late = Wakes(no_later={0.001: 95, 0.005: 108, inf: 110}, sum_s=2.05)
    found = late.since(early)
    assert found.count == 100
    assert found.mean_ms == pytest.approx(0.5)
    assert [found.quantile_ms(part) for part in (0.5, 0.9, 0.91, 0.99)] == [1.0, 1.0, 5.0, 5.0]
    assert found.quantile_ms(0.995) == inf
    assert isnan(early.since(early).quantile_ms(0.5))


def test_metrics_without_wakes_are_refused() -> None:
    with pytest.raises(ClientError, match="how late"):
        parse_wakes("# TYPE voiced_ready gauge\nvoiced_ready 1.0\n")


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"lag_p99_ms": 10.0}, []),
        (
            {"lag_p99_ms": 25.0},
            ["loop lag with all engines busy, p99: up to 25 ms, goal 10"],
        ),
        ({"answered": {"stt": 9, "llm": 0, "tts": 7}}, ["llm: not one answer"]),
        (
            {"lag_p99_ms": float("nan")},
            ["loop lag with all engines busy, p99: up to nan ms, goal 10"],
        ),
    ],
)
def test_what_is_missed_is_named(changes: dict[str, object], missed: list[str]) -> None:
    assert msgspec.structs.replace(REPORT, **changes).missed == missed


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_busy(Console(width=160), REPORT)
    told = capsys.readouterr().out
    assert "0.31 ms on average, median up to 1, p99 up to 5 (goal 10), n 400" in told
    assert "median up to 2.5 ms, p99 up to 50" in told
    assert "stt 9, llm 5, tts 7" in told
