"""`voiced models`, as a person calls it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
import trio

from tests.cli.commands import run_voiced
from tests.models.file_server import FileServer, serving
from tests.models.piper_voice import write_voice
from tests.models.small_models import write_gguf, write_whisper
from tests.patience import CEILING_S
from voiced.__main__ import main
from voiced.engines import memory
from voiced.models.recommended import SETS, ModelSet
from voiced.models.source import HubSource, parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    return tmp_path / "state" / "models"


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as files:
        yield files


def call(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["models", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_from_nothing_to_a_model_and_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, models: Path
) -> None:
    code, out, _ = call(capsys, "list")
    assert (code, out.startswith(f"no models in {models}")) == (0, True)
    voice = write_voice(tmp_path, "en_US-test-low")
    code, out, err = call(capsys, "add", str(voice), "--licence", "CC0")
    assert (code, err) == (0, "")
    assert out.startswith("added en_US-test-low for piper: ")
    told = tomllib.loads(
        out.partition("to use it, put this into the settings")[2].partition("\n")[2]
    )
    assert told == {"tts": {"engine": "piper", "voice": "en_US-test-low"}}
    code, out, _ = call(capsys, "list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["NAME", "ENGINE"],
        ["en_US-test-low", "piper"],
    ]
    assert "CC0" in out
    assert models.stat().st_mode & 0o777 == 0o755
    assert models.parent.stat().st_mode & 0o777 == 0o700
    assert call(capsys, "verify")[:2] == (0, "ok         en_US-test-low\n")
    assert call(capsys, "remove", "en_us-test-low")[0] == 0
    assert list(models.iterdir()) == []


def test_the_list_for_machines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, models: Path
) -> None:
    write_gguf(tmp_path / "m.gguf")
    assert call(capsys, "add", str(tmp_path / "m.gguf"), "--json")[0] == 0
    code, out, _ = call(capsys, "list", "--json")
    told = json.loads(out)
    (model,) = told["models"]
    assert (code, told["directory"], told["faults"]) == (0, str(models), [])
    assert model["path"] == str(models / "m" / "m.gguf")
    assert model["size"] == (tmp_path / "m.gguf").stat().st_size
    assert (model["engine"], model["used_by"]) == ("llama", [])


def test_what_is_put_there_by_hand_is_listed_and_cannot_be_verified(
    capsys: pytest.CaptureFixture[str], models: Path
) -> None:
    models.mkdir(parents=True)
    write_voice(models, "loose")
    write_gguf(models / "loose-llm.gguf")
    write_whisper(models / "whisper-tiny")
    (models / "notes.txt").write_text("mine")
    code, out, err = call(capsys, "list")
    assert (code, err) == (0, "")
    assert out.count("(put here by hand)") == 3
    code, out, _ = call(capsys, "verify")
    assert code == 0
    assert out.count("unknown") == 3
    assert call(capsys, "remove", "loose")[0] == 0
    assert sorted(path.name for path in models.iterdir()) == [
        "loose-llm.gguf",
        "notes.txt",
        "whisper-tiny",
    ]


def test_what_is_wrong_in_the_directory_is_told_and_hides_nothing(
    capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    call(capsys, "add", str(write_gguf(tmp_path / "good.gguf")))
    write_whisper(models / "half")
    (models / "half" / "tokenizer.json").unlink()
    (models / "torn").mkdir()
    (models / "torn" / "voiced-model.json").write_text("{")
    code, out, err = call(capsys, "list")
    assert code == 1
    assert "good" in out
    assert [line.startswith("voiced: ") for line in err.splitlines()] == [True, True]
    assert "half has a model.bin without tokenizer.json" in err
    assert "torn/voiced-model.json is damaged" in err


def test_damage_is_found_and_named(
    capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    for name in ("changed", "short", "gone", "fine"):
        call(capsys, "add", str(write_gguf(tmp_path / f"{name}.gguf")))
    with (models / "changed" / "changed.gguf").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.truncate(models / "short" / "short.gguf", 100)
    (models / "gone" / "gone.gguf").unlink()
    code, out, err = call(capsys, "verify")
    assert code == 1
    assert "ok         fine" in out
    assert out.count("damaged") == 3
    assert "SHA-256 has changed" in err
    assert "has 100 bytes instead of" in err
    assert "gone.gguf is missing" in err
    assert call(capsys, "verify", "fine")[0] == 0


@pytest.mark.parametrize("by", ["name", "speaker", "path"])
def test_a_model_in_use_is_not_removed(
    by: str,
    capsys: pytest.CaptureFixture[str],
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call(capsys, "add", str(write_voice(tmp_path, "mine", speakers=("a", "b"))))
    voice = {"name": "Mine", "speaker": "mine+b", "path": str(models / "mine" / "mine.onnx")}[by]
    monkeypatch.setenv("VOICED_TTS__ENGINE", "piper")
    monkeypatch.setenv("VOICED_TTS__VOICE", voice)
    assert "mine *" in call(capsys, "list")[1]
    code, _, err = call(capsys, "remove", "mine")
    assert code == 2
    assert "mine is in use (tts.voice)" in err
    assert (models / "mine").exists()
    assert call(capsys, "remove", "mine", "--force")[0] == 0
    assert not (models / "mine").exists()


def test_a_name_that_another_engine_has_is_no_use(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(capsys, "add", str(write_voice(tmp_path, "en-us")))
    monkeypatch.setenv("VOICED_TTS__ENGINE", "espeak")
    monkeypatch.setenv("VOICED_TTS__VOICE", "en-us")
    assert call(capsys, "remove", "en-us")[0] == 0


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["remove", "nobody"], 1, "there is no model 'nobody'"),
        (["verify", "nobody"], 1, "there is no model 'nobody'"),
        (["add", "nowhere.gguf"], 1, "is no file and no directory"),
        (["add", "http://a.example/m.gguf"], 2, "models come by https:"),
        (["add", "x.gguf", "--sha256", "12"], 2, "64 hexadecimal digits"),
    ],
)
def test_a_mistake_is_one_line(
    args: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = call(capsys, *args)
    assert (found, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1


def test_the_setting_says_where_models_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICED_STORE__MODELS", str(tmp_path / "elsewhere"))
    call(capsys, "add", str(write_gguf(tmp_path / "m.gguf")))
    assert (tmp_path / "elsewhere" / "m" / "m.gguf").exists()


def size_of_part(models: Path) -> int:
    return sum(path.stat().st_size for path in models.glob(".adding/*/m.gguf"))


async def test_ctrl_c_leaves_a_part_and_the_next_call_continues(
    server: FileServer, models: Path, tmp_path: Path
) -> None:
    data = write_gguf(tmp_path / "m.gguf").read_bytes()
    server.files["/m.gguf"] = data
    server.hang_after = 4_000
    state = str(models.parent)
    command = [sys.executable, "-m", "voiced", "models", "add", f"{server.url}/m.gguf"]
    with trio.fail_after(CEILING_S):
        process = await trio.lowlevel.open_process(
            command,
            env={**os.environ, "STATE_DIRECTORY": state},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with process.stdout, process.stderr:
            part = trio.Path(models)
            while size_of_part(models) != 4_000:  # noqa: ASYNC110 - only the file tells
                await trio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            said = await process.stderr.receive_some()
            assert await process.wait() == 130
        assert said == b""
        assert not await (part / "m").exists()
    server.hang_after = None
    done = await run_voiced("models", "add", f"{server.url}/m.gguf", STATE_DIRECTORY=state)
    assert done.returncode == 0
    assert server.served("/m.gguf") == [None, "bytes=4000-"]
    assert (models / "m" / "m.gguf").read_bytes() == data


def test_what_is_free_again_is_what_the_disk_gives_back(
    capsys: pytest.CaptureFixture[str], models: Path, tmp_path: Path
) -> None:
    models.mkdir(parents=True)
    with write_gguf(models / "holes.gguf").open("r+b") as file:
        file.truncate(50_000_000)
    assert json.loads(call(capsys, "list", "--json")[1])["models"][0]["size"] == 50_000_000
    told = json.loads(call(capsys, "remove", "holes", "--json")[1])
    assert told["size"] == 50_000_000
    assert 0 < told["freed"] < 1_000_000
    whole = write_gguf(models / "linked.gguf")
    (tmp_path / "other.gguf").hardlink_to(whole)
    assert call(capsys, "remove", "linked")[1] == "removed linked: 0 bytes are free again\n"
    given = write_gguf(tmp_path / "added.gguf")
    call(capsys, "add", str(given))
    freed = json.loads(call(capsys, "remove", "added", "--json")[1])["freed"]
    assert freed >= given.stat().st_size


def test_a_recommendation_tells_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "recommend", "--memory-gb", "7.6")
    assert code == 0
    assert "for a machine of 8 GB" in out
    for choice in SETS[1].choices:
        assert f"voiced models add {choice.source}\n" in out
    settings = tomllib.loads(out.partition("the settings that use them:\n")[2])
    keys = (("stt", "model"), ("llm", "model"), ("tts", "voice"))
    assert [settings[kind][key] for kind, key in keys] == [c.name for c in SETS[1].choices]
    assert [settings[kind]["engine"] for kind, _ in keys] == [c.engine for c in SETS[1].choices]
    *each, rest = map(int, re.findall(r"(?:memory|which) (\d+) MB", out))
    assert f" {sum(each) + rest} MB of memory at work" in out
    assert len(each) == 3
    assert (
        json.loads(call(capsys, "recommend", "--memory-gb", "64", "--json")[1])["memory_gb"] == 16
    )
    assert "for a machine of 4 GB" in call(capsys, "recommend", "--memory-gb", "2")[1]
    assert call(capsys, "recommend", "--memory-gb", "-1")[0] == 2
    assert call(capsys, "recommend")[0] == 0


def test_a_recommendation_tells_when_the_daemon_would_refuse_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "would not start" not in call(capsys, "recommend", "--memory-gb", "2")[1]
    assert (
        "voiced may take 800 MB here, and would not start"
        in (call(capsys, "recommend", "--memory-gb", "1")[1])
    )
    monkeypatch.setattr(memory, "free_memory", lambda: 2 * 10**9)
    monkeypatch.setattr(memory, "whole_memory", lambda: 4 * 10**9)
    assert json.loads(call(capsys, "recommend", "--json")[1])["fits"] is True
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    assert json.loads(call(capsys, "recommend", "--json")[1])["fits"] is False
    assert "voiced may take 1000 MB here now, and would not" in call(capsys, "recommend")[1]


@pytest.mark.parametrize("models", SETS, ids=lambda models: f"{models.memory_gb}")
def test_a_recommended_set_fits_and_its_sources_are_understood(models: ModelSet) -> None:
    """Half of the memory is left to the system and to what else runs there."""
    assert models.memory_mb < models.memory_gb * 500
    assert [choice.kind for choice in models.choices] == ["stt", "llm", "tts"]
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    for choice in models.choices:
        assert f"| {choice.memory_mb} MB | `{choice.source}` |" in page
        source = parse_source(choice.source, {})
        assert isinstance(source, HubSource)
        assert choice.name in {PurePosixPath(source.file).stem, source.repository.split("/")[1]}
        row = next(line for line in page.splitlines() if f"`{choice.name}`" in line)
        assert f"{choice.size_mb} MB" in row
        assert choice.licence in row
        assert f"`{choice.source}`" in row
