"""`voiced bench engines`: pairs by turns, goals, and a run over real models, small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engines.whisper_helpers import sound
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.bench.engines import PARTS, Effort, EngineReport, measure_engines
from voiced.bench.engines_stt import lasting
from voiced.bench.engines_tts import SENTENCE, first_clause
from voiced.bench.pairs import compare
from voiced.bench.run_engines import reaches_goals

if TYPE_CHECKING:
    from pathlib import Path


def test_both_ways_are_timed_by_turns_each_first_once_in_two() -> None:
    order: list[str] = []
    told: list[int] = []
    result = compare(
        "something",
        lambda: order.append("tuned"),
        lambda: order.append("naive"),
        pairs=4,
        goal=2.0,
        tell=lambda: told.append(1),
    )
    pair = ["tuned", "naive"]
    assert order == [*pair, *pair, *pair[::-1], *pair, *pair[::-1]]  # the first is not timed
    assert (result.tuned_ms.n, result.naive_ms.n, result.times.n) == (4, 4, 4)
    assert len(told) == 4
    assert (result.name, result.goal) == ("something", 2.0)


@pytest.mark.parametrize(("goal", "reached"), [(None, True), (0.0, True), (1e9, False)])
def test_a_goal_is_reached_by_the_median(goal: float | None, reached: bool) -> None:
    report = EngineReport(
        engine="stt.whisper",
        model="tiny",
        naive="",
        settings={},
        comparisons=[compare("x", lambda: None, lambda: None, pairs=3, goal=goal)],
    )
    assert reaches_goals(report) is reached


def test_speech_is_repeated_to_the_length_that_is_wanted() -> None:
    assert len(lasting(bytes(1_000), 2)) == 64_000
    assert len(lasting(bytes(100_000), 2)) == 64_000


def test_every_kind_names_a_function_that_exists() -> None:
    import importlib

    for target in PARTS.values():
        module, _, name = target.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_whisper_is_measured_with_every_model_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # faster-whisper's progress bar, which is turned off, starts a thread for good all the same.
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    write_listener(tmp_path / "listener")
    (tmp_path / "something else").mkdir()
    told: list[str] = []
    effort = Effort(pairs=1, cancels=2, threads=1)
    (report,) = measure_engines(["stt"], tmp_path, sound(1.0), effort, told.append)
    assert (report.engine, report.model) == ("stt.whisper", "listener")
    names = [one.name for one in report.comparisons]
    assert names == ["encode 5 s", "transcribe 5 s", "encode 10 s", "transcribe 10 s"]
    assert [one.goal for one in report.comparisons] == [10.0, None, 5.0, None]
    assert report.cancels is not None
    assert report.cancels.idle_ms.n == 2
    assert report.cancels.stale_parts == 0
    assert report.cancels.idle_ms.most >= report.cancels.acknowledged_ms.least
    assert told


def test_piper_is_measured_with_every_voice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_voice(tmp_path, name)
    reports = measure_engines(["tts"], tmp_path, b"", Effort(pairs=1, cancels=1))
    assert [(report.engine, report.model) for report in reports] == [
        ("tts.piper", "one"),
        ("tts.piper", "two"),
    ]
    for report in reports:
        assert [(one.name, one.times.n) for one in report.comparisons] == [
            ("first sound of a sentence", 1),
            ("a whole sentence", 1),
        ]
        assert report.cancels is not None
        assert (report.cancels.idle_ms.n, report.cancels.stale_parts) == (1, 0)


def test_what_is_spoken_first_is_a_clause_of_the_sentence() -> None:
    first = first_clause(SENTENCE)
    assert SENTENCE.startswith(first)
    assert 0 < len(first) < len(SENTENCE) / 3
