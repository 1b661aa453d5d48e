"""`voiced bench engines`: pairs by turns, goals, and a run over real models, small ones."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from rich.console import Console

from tests.engines.llama_helpers import needs_llama
from tests.engines.whisper_helpers import sound
from tests.models.llama_shapes import SMALL, write_random
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.__main__ import main
from voiced.bench.engines import Effort, EngineReport, measure_engines
from voiced.bench.engines_llm import clocked
from voiced.bench.engines_stt import lasting
from voiced.bench.engines_tts import SENTENCE, first_clause
from voiced.bench.hosts import find_models
from voiced.bench.naive import Asked, NaiveUser
from voiced.bench.pairs import WHOLE, Comparison, compare
from voiced.bench.rival import naive_environment, open_rival
from voiced.bench.run_engines import print_engine
from voiced.errors import EngineFailed, UsageError, leaves

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here: no need to wait for threads that spin."""
    monkeypatch.setattr("voiced.bench.pairs.SETTLE_S", 0.0)


async def test_both_ways_are_timed_by_turns_each_first_once_in_two() -> None:
    order: list[str] = []
    told: list[str] = []

    async def tuned() -> dict[str, float]:
        order.append("tuned")
        return {WHOLE: 2.0}

    async def naive() -> dict[str, float]:
        order.append("naive")
        return {"stt": 5.0, WHOLE: 6.0}

    result = await compare("something", tuned, naive, pairs=4, goal=3.0, tell=told.append)
    pair = ["tuned", "naive"]
    assert order == [*pair, *pair[::-1], *pair, *pair[::-1], *pair]  # the first is not timed
    assert (result.tuned_ms.n, result.naive_ms.n, result.times.n) == (4, 4, 4)
    assert result.times.median == 3.0
    assert result.tuned_stages_ms == {}
    assert result.naive_stages_ms["stt"].median == 5.0
    assert told[-1] == "something: pair 4 of 4"
    assert result.missed == ""


async def compared(goal: float | None) -> Comparison:
    async def way() -> dict[str, float]:
        return {WHOLE: 1.0}

    return await compare("x", way, way, pairs=3, goal=goal)


@pytest.mark.parametrize(
    ("goal", "missed"), [(None, []), (1.0, []), (9.0, ["tiny, x: 1.0 times, goal 9"])]
)
async def test_a_goal_is_missed_by_the_median(goal: float | None, missed: list[str]) -> None:
    report = EngineReport(
        engine="stt.whisper", model="tiny", naive="", comparisons=[await compared(goal)]
    )
    assert report.missed == missed


def test_speech_is_repeated_to_the_length_that_is_wanted() -> None:
    assert len(lasting(bytes(1_000), 2)) == 64_000
    assert len(lasting(bytes(100_000), 2)) == 64_000


def test_what_is_spoken_first_is_a_clause_of_the_sentence() -> None:
    first = first_clause(SENTENCE)
    assert SENTENCE.startswith(first)
    assert 0 < len(first) < len(SENTENCE) / 3


def test_a_clock_changes_the_head_of_the_prompt_and_nothing_else() -> None:
    history = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    first, second = clocked(history, 61), clocked(history, 62)
    assert first[0]["content"] == "It is 01:01. Be brief."
    assert first[0] != second[0]
    assert first[1:] == history[1:]


def test_the_naive_user_has_set_nothing() -> None:
    mine = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2", "PATH": "/bin"}
    assert naive_environment(mine) == {"PATH": "/bin", "HF_HUB_OFFLINE": "1"}


async def test_threads_that_are_given_are_those_of_the_naive_user_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = NaiveUser()
    made: dict[str, int] = {}
    write_listener(tmp_path / "listener")
    write_voice(tmp_path, "voice")

    def note(**options: Any) -> object:  # noqa: ANN401 - whatever it is given
        made.update(options)
        return object()

    llama = SimpleNamespace(Llama=note)
    monkeypatch.setitem(sys.modules, "llama_cpp", llama)
    whisper, piper = str(tmp_path / "listener"), str(tmp_path / "voice.onnx")
    for threads in (1, 0):
        user.do(Asked(op="load", threads=threads, whisper=whisper, llama="x.gguf", piper=piper))
        session = user._piper.session.get_session_options()
        assert session.intra_op_num_threads == threads
        assert made["n_threads"] == made["n_threads_batch"] == (threads or None)
        assert user.do(Asked(op="first sound", text="hello")).ms["whole"] > 0


async def test_work_that_ours_does_not_do_is_no_gain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_listener(tmp_path / "listener")

    async def hear_nothing(*_: object) -> str:
        return ""

    monkeypatch.setattr("voiced.bench.engines_stt.transcribe", hear_nothing)
    with pytest.raises(BaseExceptionGroup) as caught:
        await measure_engines(
            ["stt"], find_models(tmp_path), sound(1.0), Effort(pairs=1, cancels=0, threads=1)
        )
    (fault,) = leaves(caught.value)
    assert isinstance(fault, EngineFailed)
    assert "hears nothing, and faster-whisper 'turn on" in str(fault)


async def test_what_the_naive_user_cannot_do_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match="load, naively"):
        async with open_rival(whisper=str(tmp_path)):
            pass
    async with open_rival() as rival:
        with pytest.raises(EngineFailed, match="first sound, naively"):
            await rival.ask(Asked(op="first sound", text="hello"))
        with pytest.raises(EngineFailed, match="transcribe, naively"):
            await rival.ask(Asked(op="transcribe", pcm=bytes(2)))


def test_a_directory_without_models_says_how_to_make_some(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"tests\.models"):
        find_models(tmp_path)


async def test_whisper_is_measured_with_every_model_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_listener(tmp_path / "listener")
    (tmp_path / "something else").mkdir()
    monkeypatch.chdir(tmp_path.parent)
    told: list[str] = []
    effort = Effort(pairs=1, cancels=1, threads=1)
    models = find_models(tmp_path.relative_to(tmp_path.parent))
    (report,) = await measure_engines(
        ["stt", "llm", "tts"], models, sound(1.0), effort, told.append
    )
    assert (report.engine, report.model) == ("stt.whisper", "listener")
    names = [one.name for one in report.comparisons]
    assert names == ["encode 5 s", "transcribe 5 s", "encode 10 s", "transcribe 10 s"]
    assert [one.goal for one in report.comparisons] == [10.0, None, 5.0, None]
    assert all(one.tuned_ms.least > 0 and one.naive_ms.least > 0 for one in report.comparisons)
    assert report.cancels is not None
    assert report.cancels.idle_ms.n == 1
    assert told[0] == "listener: loading"


@needs_llama
async def test_llama_is_measured(tmp_path: Path) -> None:
    write_random(tmp_path / "small.gguf", SMALL)
    effort = Effort(pairs=1, cancels=1, threads=1)
    (report,) = await measure_engines(["llm"], find_models(tmp_path), b"", effort)
    assert (report.engine, report.model) == ("llm.llama", "small")
    assert [(one.name, one.goal) for one in report.comparisons] == [
        ("first token after 400 tokens", 12.0),
        ("first token after 400 tokens, no clock", None),
    ]
    assert report.cancels is not None
    assert (report.cancels.idle_ms.n, report.cancels.goal_ms) == (1, 50.0)


async def test_piper_is_measured_with_every_voice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_voice(tmp_path, name)
    reports = await measure_engines(["tts"], find_models(tmp_path), b"", Effort(pairs=1, cancels=0))
    assert [(report.engine, report.model) for report in reports] == [
        ("tts.piper", "one"),
        ("tts.piper", "two"),
    ]
    for report in reports:
        assert [(one.name, one.times.n) for one in report.comparisons] == [
            ("first sound of a sentence", 1),
            ("a whole sentence", 1),
        ]
        assert report.cancels is None


def test_the_command_names_what_is_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr("voiced.bench.engines_tts.GOAL", 1e9)
    write_voice(tmp_path, "voice")
    asked = ["bench", "engines", "--models", str(tmp_path), "--pairs", "1", "--cancels", "2"]
    assert main([*asked, "--engine", "stt"]) == 2
    assert "holds no model for stt" in capsys.readouterr().err
    assert main([*asked, "--json"]) == 1
    told = capsys.readouterr()
    assert "missed: voice, first sound of a sentence: " in told.err
    found = json.loads(told.out)
    assert found["busy"] is None  # that takes models of all kinds
    (report,) = found["engines"]
    assert report["cancels"]["idle_ms"]["n"] == 2
    assert report["comparisons"][0]["goal"] == 1e9
    print_engine(Console(width=120), msgspec.convert(report, EngineReport))
    assert "times as long (goal 1e+09)" in capsys.readouterr().out
