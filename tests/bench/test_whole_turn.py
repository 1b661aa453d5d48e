"""`voiced bench turn --models`: whole turns with real engines and small models, both ways."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from tests.engines.llama_helpers import needs_llama
from tests.models.llama_model import SMALL, write_random
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.__main__ import main
from voiced.bench.engines_tts import SENTENCE, first_clause
from voiced.bench.run_whole_turn import print_whole_turn
from voiced.bench.whole_turn import GOALS, WholeTurnReport, count_tokens

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here: no need to wait for threads that spin."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("voiced.bench.pairs.SETTLE_S", 0.0)


def test_tokens_are_words_and_marks() -> None:
    assert count_tokens("It is sunny today, ") == 5
    assert count_tokens(first_clause(SENTENCE)) < count_tokens(SENTENCE) / 3


@needs_llama
def test_a_turn_is_taken_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_listener(tmp_path / "whisper-tiny")
    write_random(tmp_path / "small.gguf", SMALL)
    write_voice(tmp_path, "voice")
    monkeypatch.setitem(GOALS, "tiny", 1e9)
    monkeypatch.setattr("voiced.bench.whole_turn.HISTORY_TOKENS", 60)
    asked = ["--models", str(tmp_path), "--pairs", "1", "--threads", "1", "--json"]
    assert main(["bench", "turn", *asked]) == 1
    told = capsys.readouterr()
    assert "missed: whisper-tiny, end of speech to first sound" in told.err
    (found,) = json.loads(told.out)["whole_turns"]
    comparison = found["comparison"]
    assert comparison["times"]["n"] == 1
    for way in ("tuned", "naive"):
        stages = comparison[f"{way}_stages_ms"]
        assert list(stages) == ["stt", "llm", "tts"]
        whole = sum(stage["median"] for stage in stages.values())
        assert whole == pytest.approx(comparison[f"{way}_ms"]["median"], abs=0.01)
    assert found["setting"]["history_tokens"] >= 60

    report = msgspec.convert(found, WholeTurnReport)
    console = Console(width=120)
    print_whole_turn(console, report)
    told = capsys.readouterr()
    assert "whisper-tiny, small, voice" in told.out
    assert "times as long (goal 1e+09)" in told.out


def test_a_model_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voice(tmp_path, "voice")
    assert main(["bench", "turn", "--models", str(tmp_path)]) != 0
    assert "holds no whisper model" in capsys.readouterr().err
