"""The bench of cancels measures what it says, on an engine that stops and on one that cannot."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.engines.whisper_helpers import sound
from tests.models.piper_voice import write_voice
from tests.models.whisper_model import write_listener
from voiced.__main__ import main
from voiced.bench.cancels import CancelReport, measure_cancels
from voiced.bench.deaf import DeafEngine
from voiced.bench.hosts import find_models, whisper_spec
from voiced.bench.stats import summarise
from voiced.engines.ports import WorkCancelled
from voiced.engines.spec import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TARGET = "voiced.engines.tts.piper:PiperEngine"


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    write_voice(tmp_path, "slow", rounds=30)
    return {"voice": "slow", "models_directory": str(tmp_path)}


class Cancelled:
    """A `Work` that was cancelled before it began."""

    op = "speak"
    asked_anew = False
    params: Mapping[str, Any] = {"text": "The lamp is on."}
    cancelled = True

    def on_cancel(self, callback: Callable[[], None]) -> None:
        callback()

    def raise_if_cancelled(self) -> None:
        raise WorkCancelled

    def emit(self, part: Mapping[str, Any]) -> None:
        raise WorkCancelled

    def chunks(self) -> Iterator[bytes]:
        raise WorkCancelled


def test_the_control_works_on_where_others_stop(options: dict[str, Any]) -> None:
    deaf = DeafEngine({"target": TARGET, "options": options})
    assert deaf.load().name == "piper"
    deaf.warm_up()
    assert deaf.run(Cancelled())["duration_s"] > 0
    with pytest.raises(WorkCancelled):
        deaf._engine.run(Cancelled())


async def test_every_cancel_is_measured_and_the_engine_lives(options: dict[str, Any]) -> None:
    spec = EngineSpec(kind="tts", name="piper", target=TARGET, options=options)
    told: list[str] = []
    report = await measure_cancels(spec, b"", cancels=4, seed=1, tell=told.append)
    assert report.idle_ms.n == report.acknowledged_ms.n == 4
    assert report.control_ms.n == 1
    assert 0 < report.idle_ms.least <= report.idle_ms.median <= report.idle_p99_ms
    assert (report.restarts, report.stale_parts) == (0, 0)
    assert (report.goal_ms, report.step_ms) == (60.0, None)
    assert told[-2:] == [
        "tts piper: cancel 4 of 4",
        "tts piper without its hook: cancel 1 of 1",
    ]


async def test_whisper_is_idle_when_its_native_call_has_ended(tmp_path: Path) -> None:
    write_listener(tmp_path / "models" / "listener")
    models = find_models(tmp_path / "models")
    spec = whisper_spec(models, models.whisper[0])
    report = await measure_cancels(spec, sound(3.0), cancels=3, seed=1, tell=lambda _: None)
    assert report.step_ms is not None
    # Of each request there is an encoder's call at least, abandoned ones among them.
    assert report.step_ms.n >= 3
    assert report.goal_ms == report.step_ms.most
    for idle, acknowledged in (
        (report.idle_ms.least, report.acknowledged_ms.least),
        (report.idle_ms.most, report.acknowledged_ms.most),
    ):
        assert idle > acknowledged


def test_what_is_missed_is_named() -> None:
    some = summarise([1.0, 2.0, 90.0])
    report = CancelReport(
        request_ms=some,
        acknowledged_ms=some,
        idle_ms=some,
        idle_p99_ms=88.2,
        control_ms=some,
        goal_ms=60.0,
    )
    assert report.missed == ["from a cancel to idle, p99: 88.2 ms, goal 60"]
    good = msgspec.structs.replace(report, goal_ms=90.0)
    assert good.missed == []
    assert "after the acknowledgement" in msgspec.structs.replace(good, stale_parts=1).missed[0]
    assert "started again" in msgspec.structs.replace(good, restarts=1).missed[0]


def test_the_command_tells_both(
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    # What is judged here is the command; how fast the machine is, is not.
    monkeypatch.setattr("voiced.bench.cancels.GOALS_MS", {("tts", "piper"): 1e9})
    config = tmp_path / "v.toml"
    config.write_text('[tts]\nengine = "piper"\nvoice = "slow"\n[store]\nmodels = "."\n')
    asked = ["bench", "cancels", "--kind", "tts", "--cancels", "3", "--config", str(config)]
    assert main(asked) == 0
    told = capsys.readouterr()
    assert "tts.piper: from a cancel on" in told.out
    assert "without the hook" in told.out
    assert "engine started again: 0 times" in told.out
    assert "cancel 3 of 3" in told.err or "cancel 1 of 3" in told.err
    monkeypatch.setattr("voiced.bench.cancels.GOALS_MS", {("tts", "piper"): 0.0})
    assert main([*asked, "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["engines"]["tts.piper"]["goal_ms"] == 0.0
    assert "missed: tts.piper, from a cancel to idle" in told.err
