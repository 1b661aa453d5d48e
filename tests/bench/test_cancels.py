"""The bench of cancels measures what it says, on an engine that stops and on one that cannot."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from tests.models.piper_voice import write_voice
from voiced.__main__ import main
from voiced.bench.cancels import measure_cancels, open_host
from voiced.bench.deaf import DeafEngine
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


@pytest.mark.parametrize("deaf", [False, True])
async def test_every_cancel_is_measured_and_the_engine_lives(
    deaf: bool, options: dict[str, Any]
) -> None:
    spec = EngineSpec(kind="tts", name="piper", target=TARGET, options=options)
    told = 0

    def tell() -> None:
        nonlocal told
        told += 1

    async with open_host(spec, deaf=deaf) as host:
        report = await measure_cancels(host, "tts", b"", cancels=4, random=Random(1), tell=tell)
    assert report.idle_ms.n == told == 4
    assert 0 < report.idle_ms.least <= report.idle_ms.median <= report.idle_p99_ms
    assert report.restarts == 0


def test_the_command_tells_both(
    options: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = tmp_path / "v.toml"
    config.write_text('[tts]\nengine = "piper"\nvoice = "slow"\n[store]\nmodels = "."\n')
    assert (
        main(["bench", "cancels", "--kind", "tts", "--cancels", "3", "--config", str(config)]) == 0
    )
    out = capsys.readouterr().out
    assert "tts piper, with hook" in out
    assert "tts piper, without hook" in out
    assert "engines started again: 0" in out
