"""`voiced bench turn --models`: whole turns with a daemon and small models, both ways."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest
from rich.console import Console

from tests.engines.llama_helpers import needs_llama
from tests.models.__main__ import ANSWER
from tests.models.llama_shapes import SMALL, write_saying
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.__main__ import main
from voiced.bench.busy import settings_for
from voiced.bench.clip import Clip
from voiced.bench.daemon import Daemon
from voiced.bench.engines_tts import SENTENCE, first_clause
from voiced.bench.engines_turn import Chosen, count_tokens
from voiced.bench.hosts import find_models
from voiced.bench.naive import to_first_sentence
from voiced.bench.run_whole_turn import print_whole_turn
from voiced.bench.turn import TurnFigures
from voiced.bench.turn_sides import TURNS_EACH, Spoken, Words, item_of, staged
from voiced.bench.whole_turn import (
    GOALS,
    WholeTurnReport,
    daemon_settings,
    spoken_part,
    with_silence,
    without_silence,
)
from voiced.settings_loader import load_settings

if TYPE_CHECKING:
    from pathlib import Path


FIGURES = TurnFigures(
    first_text_ms=500.0,
    first_audio_ms=600.0,
    silence_ms=200.0,
    client_late_ms=0.5,
    most_ahead_s=0.3,
    stages={
        "vad": 190.0,
        "stt": 50.0,
        "assistant": 150.0,
        "tts": 180.0,
        "server": 20.0,
        "transport": 10.0,
    },
)
CLIP = Clip(bytes(24_000 * 2 * 3), 0.3, 2.5, "three seconds")
HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Is the lamp on?"},
    {"role": "assistant", "content": "Yes."},
]


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here: no need to wait for threads that spin."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("voiced.bench.pairs.SETTLE_S", 0.0)


def test_tokens_are_words_and_marks() -> None:
    assert count_tokens("It is sunny today, ") == 5
    assert count_tokens(first_clause(SENTENCE)) < count_tokens(SENTENCE) / 3


def test_the_silence_is_apart_from_the_other_stages_and_all_add_up() -> None:
    turn = staged(FIGURES)
    assert turn["silence"] == 200.0
    assert turn["noticing the end"] == -10.0
    assert turn["whole"] == 600.0 == sum(turn.values()) - turn["whole"]


def test_the_silence_is_in_what_is_felt_on_both_sides_and_in_what_is_added_on_neither() -> None:
    naive = {"stt": 1000.0, "llm": 2000.0, "tts": 500.0, "whole": 3500.0}
    (felt,) = with_silence([naive], 200.0)
    assert felt == {"silence": 200.0, **naive, "whole": 3700.0}
    (added,) = without_silence([staged(FIGURES)])
    assert added["whole"] == 400.0 == sum(added.values()) - added["whole"]
    assert "silence" not in added


def test_the_naive_user_is_given_the_conversation_that_ours_had() -> None:
    spoken = Spoken(Daemon("ws://127.0.0.1:1/v1/realtime"), CLIP, HISTORY, AsyncExitStack())
    spoken.words = [Words(f"question {n}", f"answer {n}") for n in range(TURNS_EACH + 2)]
    assert spoken.said_before(0) == HISTORY
    assert spoken.said_before(2)[3:] == [
        {"role": "user", "content": "question 0"},
        {"role": "assistant", "content": "answer 0"},
        {"role": "user", "content": "question 1"},
        {"role": "assistant", "content": "answer 1"},
    ]
    assert spoken.said_before(TURNS_EACH) == HISTORY
    assert [m["content"] for m in spoken.said_before(TURNS_EACH + 1)[3:]] == [
        f"question {TURNS_EACH}",
        f"answer {TURNS_EACH}",
    ]


def test_what_was_said_goes_into_the_conversation_as_its_speaker_said_it() -> None:
    assert item_of(HISTORY[1])["content"] == [{"type": "input_text", "text": "Is the lamp on?"}]
    assert item_of(HISTORY[2])["content"] == [{"type": "output_text", "text": "Yes."}]


@pytest.mark.parametrize(
    ("pieces", "said", "unread"),
    [
        (["It", " is", ".", " And"], "It is.", [" And"]),
        (["It", " is. ", "And"], "It is.", ["And"]),
        (["a", " b"], "a b", []),
        ([], "", []),
    ],
)
def test_naively_the_first_sentence_is_waited_for(
    pieces: list[str], said: str, unread: list[str]
) -> None:
    left = iter(pieces)
    assert to_first_sentence(left) == said
    assert list(left) == unread


def test_what_the_naive_user_hears_ends_where_the_speech_does() -> None:
    assert len(spoken_part(CLIP)) == pytest.approx(16_000 * 2 * 2.5, abs=64)


def test_the_daemon_runs_by_default_but_for_what_is_said(tmp_path: Path) -> None:
    voice = write_voice(tmp_path, "voice")
    models = find_models(tmp_path)
    chosen = Chosen(whisper=tmp_path / "w", llama=tmp_path / "l.gguf", piper=voice)
    plain = daemon_settings(models, chosen)
    assert plain == {
        **settings_for(models, chosen.whisper, chosen.llama, chosen.piper),
        "VOICED_LLM__TEMPERATURE": "0.0",
    }
    settings = load_settings(None, daemon_settings(models, chosen, 3))
    threads = (settings.stt.threads, settings.llm.threads, settings.llm.threads_batch)
    assert threads == (3, 3, 3)
    assert settings.tts.options == {"threads": 3}
    assert settings.stt.speculate
    assert settings.llm.prefill


@needs_llama
def test_a_turn_is_taken_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_listener(tmp_path / "whisper-tiny")
    write_saying(tmp_path / "small.gguf", SMALL, ANSWER)
    write_voice(tmp_path, "voice")
    monkeypatch.setitem(GOALS, "tiny", 1e9)
    monkeypatch.setattr("voiced.bench.engines_turn.HISTORY_TOKENS", 60)
    monkeypatch.setattr("voiced.bench.whole_turn.TURNS_EACH", 1)
    monkeypatch.setattr("voiced.bench.turn_sides.TURNS_EACH", 1)
    asked = ["--models", str(tmp_path), "--pairs", "1", "--threads", "1", "--json"]
    assert main(["bench", "turn", *asked]) == 1
    told = capsys.readouterr()
    assert "missed: whisper-tiny, end of speech to first audio, without it" in told.err
    (found,) = json.loads(told.out)["whole_turns"]
    report = msgspec.convert(found, WholeTurnReport)
    for comparison in (report.felt, report.added, report.engines):
        assert comparison.times.n == 1
        for stages, whole in (
            (comparison.tuned_stages_ms, comparison.tuned_ms),
            (comparison.naive_stages_ms, comparison.naive_ms),
        ):
            assert sum(stage.median for stage in stages.values()) == pytest.approx(
                whole.median, abs=0.01
            )
    assert report.felt.tuned_ms.median == pytest.approx(report.added.tuned_ms.median + 200)
    assert report.felt.naive_ms.median == pytest.approx(report.added.naive_ms.median + 200)
    assert list(report.engines.tuned_stages_ms) == ["stt", "llm", "tts"]
    assert report.setting.history_tokens >= 60
    assert report.words.said == report.words_naively.said == SENTENCE
    assert report.words.heard
    assert (report.felt.goal, report.added.goal, report.engines.goal) == (None, 1e9, None)

    print_whole_turn(Console(width=120), report)
    told = capsys.readouterr()
    for name, definition in report.definitions.items():
        assert f"whisper-tiny, small, voice: {name}" in told.out
        assert definition[:60] in told.out
    assert told.out.count("a clock at the head of the naive prompt") == 2
    assert "times as long (goal 1e+09)" in told.out


def test_a_model_that_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_voice(tmp_path, "voice")
    assert main(["bench", "turn", "--models", str(tmp_path)]) != 0
    assert "holds no whisper model" in capsys.readouterr().err
