"""`voiced bench engines`: all engines busy at once, with small models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_model import SMALL, write_random
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.bench.busy import BusyReport, measure_busy
from voiced.bench.clip import synthesise_clip
from voiced.bench.hosts import find_models
from voiced.bench.run_engines import print_busy

if TYPE_CHECKING:
    from pathlib import Path

REPORT = BusyReport(
    models=["tiny"],
    seconds=20.0,
    lag_p50_ms=0.2,
    lag_p99_ms=3.0,
    lag_max_ms=9.0,
    samples=400,
    cpu_percent=190.0,
    answered={"stt": 9, "llm": 5, "tts": 7},
)


@needs_llama
async def test_the_loop_is_watched_while_all_engines_work(tmp_path: Path) -> None:
    write_listener(tmp_path / "listener")
    write_random(tmp_path / "small.gguf", SMALL)
    write_voice(tmp_path, "voice")
    clip = await synthesise_clip()
    report = await measure_busy(find_models(tmp_path), clip.pcm, 1.0)
    assert report.models == ["listener", "small", "voice"]
    assert report.samples > 0
    assert 0 <= report.lag_p50_ms <= report.lag_p99_ms <= report.lag_max_ms
    assert set(report.answered) == {"stt", "llm", "tts"}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        (
            {"lag_p99_ms": 12.5},
            ["loop lag with all engines busy, p99: 12.5 ms, goal 10"],
        ),
        ({"answered": {"stt": 9, "llm": 0, "tts": 7}}, ["llm: not one answer"]),
        ({"lag_p99_ms": float("nan")}, ["loop lag with all engines busy, p99: nan ms, goal 10"]),
    ],
)
def test_what_is_missed_is_named(changes: dict[str, object], missed: list[str]) -> None:
    assert msgspec.structs.replace(REPORT, **changes).missed == missed


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_busy(Console(width=160), REPORT)
    told = capsys.readouterr().out
    assert "3.0 p99 (goal 10)" in told
    assert "stt 9, llm 5, tts 7" in told
