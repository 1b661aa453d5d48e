"""Whisper models that cannot be used: one line before READY, with the file and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ctranslate2.specs import TransformerSpec
from ctranslate2.specs.model_spec import LayerSpec

from tests.engines.host_helpers import running_host
from tests.models.whisper_model import write_listener
from voiced.engines.spec import EngineSpec
from voiced.engines.stt.whisper import WhisperEngine
from voiced.errors import ModelError
from voiced.models.ctranslate2 import read_model_file

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_listener(tmp_path_factory.mktemp("models") / "good")


@pytest.fixture
def model(good: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(good, tmp_path / "models" / "copy"))


def reason(model: Path | str, **options: object) -> str:
    """Why the engine cannot load it."""
    with pytest.raises(ModelError) as caught:
        WhisperEngine({"model": str(model), "language": "en", **options}).load()
    text = str(caught.value)
    assert "\n" not in text
    return text


def shorten(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble(path: Path) -> None:
    path.write_bytes(b"<!DOCTYPE html><title>404</title>" * 500)


def claim_too_much(path: Path) -> None:
    """The length of the first matrix, in a file that is whole otherwise."""
    data = bytearray(path.read_bytes())
    first = data.index(b"decoder/")
    name_end = data.index(b"\0", first) + 1
    rank = data[name_end]
    length = name_end + 1 + 4 * rank + 1
    data[length : length + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [shorten, empty, scramble, claim_too_much])
def test_a_damaged_model_is_named(model: Path, spoil: Callable[[Path], None]) -> None:
    spoil(model / "model.bin")
    text = reason(model)
    assert str(model / "model.bin") in text
    assert "download it again" in text


def test_without_the_check_the_library_would_say_less(model: Path) -> None:
    import ctranslate2

    scramble(model / "model.bin")
    with pytest.raises(RuntimeError) as caught:
        ctranslate2.models.Whisper(str(model))
    assert "model.bin" not in str(caught.value) or "download" not in str(caught.value)


def test_a_model_of_another_kind_is_told_apart(tmp_path: Path) -> None:
    spec = TransformerSpec.from_config(num_layers=1, num_heads=2)

    def fill(layer: LayerSpec) -> None:
        for name, value in vars(layer).items():
            if isinstance(value, LayerSpec):
                fill(value)
            elif isinstance(value, list):
                for entry in value:
                    fill(entry)
            elif value is None:
                setattr(layer, name, np.zeros(4, np.float32))

    fill(spec)
    LayerSpec.validate(spec)  # without the vocabularies, which do not matter here
    (tmp_path / "translator").mkdir()
    spec._serialize(str(tmp_path / "translator" / "model.bin"))
    assert "TransformerSpec" in reason(tmp_path / "translator")


def test_a_single_file_is_no_model(model: Path) -> None:
    path = model.parent / "ggml-tiny.bin"
    path.write_bytes(b"lmgg" * 100)
    text = reason(path)
    assert str(path) in text
    assert "directory" in text


def test_a_model_for_pytorch_is_to_be_converted(model: Path) -> None:
    (model / "model.bin").rename(model / "model.safetensors")
    assert "ct2-transformers-converter" in reason(model)


def test_a_missing_tokenizer_is_not_fetched(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("nothing may be fetched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    (model / "tokenizer.json").unlink()
    assert "tokenizer.json" in reason(model)


@pytest.mark.parametrize("content", ["", "{", '{"model": 3}'])
def test_a_damaged_tokenizer_is_named(model: Path, content: str) -> None:
    (model / "tokenizer.json").write_text(content)
    text = reason(model)
    assert str(model / "tokenizer.json") in text
    assert "again" in text


def test_the_tokenizer_of_another_model_is_noticed(model: Path, tmp_path: Path) -> None:
    from tests.models.whisper_model import Vocabulary

    Vocabulary(["a"], text_tokens=5_000, languages=["en"]).write_tokenizer(model / "tokenizer.json")
    assert "not the tokenizer of this Whisper model" in reason(model)


def test_a_missing_vocabulary_is_told(model: Path) -> None:
    for path in model.glob("vocabulary.*"):
        path.unlink()
    text = reason(model)
    assert str(model) in text
    assert "vocabulary" in text.lower()


def test_a_model_too_large_for_memory_is_not_begun(model: Path) -> None:
    with (model / "model.bin").open("r+b") as file:
        file.truncate(1 << 40)  # a hole: no disk holds that much
    text = reason(model)
    assert str(model / "model.bin") in text
    assert "MiB are free" in text
    assert "smaller model" in text


def test_a_compute_type_that_the_machine_lacks_is_told(model: Path) -> None:
    assert "bfloat17" in reason(model, compute_type="bfloat17")


def test_every_matrix_of_a_good_file_is_seen(good: Path) -> None:
    file = read_model_file(good / "model.bin")
    assert file.kind == "WhisperSpec"
    assert file.shapes["encoder/conv1/weight"] == (128, 80, 3)
    assert file.bytes == (good / "model.bin").stat().st_size


# -- which one ----------------------------------------------------------------------------


def test_the_only_model_needs_no_name(model: Path) -> None:
    options = {"models_directory": str(model.parent), "language": "en"}
    assert WhisperEngine(options).load().model == "copy"
    assert WhisperEngine({**options, "model": "copy"}).load().model == "copy"
    shutil.copytree(model, model.parent / "second")
    with pytest.raises(ModelError, match=r"\(there: copy, second\)"):
        WhisperEngine(options).load()


def test_without_any_model_it_says_where_to_put_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{tmp_path} .there: none.; `voiced models add`"):
        WhisperEngine({"models_directory": str(tmp_path), "language": "en"}).load()
    assert str(tmp_path / "absent") in reason(tmp_path / "absent")


async def test_the_host_passes_the_line_on_before_it_is_ready(model: Path) -> None:
    shorten(model / "model.bin")
    spec = EngineSpec(
        kind="stt",
        name="whisper",
        target="voiced.engines.stt.whisper:WhisperEngine",
        options={"model": str(model), "language": "en"},
    )
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running_host(spec):
            pytest.fail("it was ready")
    assert caught.group_contains(ModelError, match=r"^stt\.whisper: .*model\.bin")
