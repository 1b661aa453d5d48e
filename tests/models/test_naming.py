"""Which model the settings mean."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.models.piper_voice import write_voice
from tests.models.small_models import write_gguf, write_whisper
from voiced.errors import ModelError
from voiced.models.install import Installer, Request
from voiced.models.naming import find_model
from voiced.models.source import parse_source


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """One by hand, one added, one for another engine."""
    directory = tmp_path / "models"
    directory.mkdir()
    write_gguf(directory / "Loose-Q4.gguf")
    given = write_gguf(tmp_path / "added.gguf")
    Installer(directory).add_local(Request(source=parse_source(str(given))))
    write_whisper(directory / "tiny")
    return directory


def test_a_name_is_that_of_a_model_of_the_engine(models: Path) -> None:
    assert find_model(models, "llama", "added") == models / "added" / "added.gguf"
    for name in ("Loose-Q4", "loose-q4", "Loose-Q4.gguf"):
        assert find_model(models, "llama", name) == models / "Loose-Q4.gguf"
    assert find_model(models, "whisper", "tiny") == models / "tiny"
    with pytest.raises(ModelError, match=r"llm\.model: there is no llama model 'tiny'") as caught:
        find_model(models, "llama", "tiny")
    assert "(there: Loose-Q4, added)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_of_another_engine_is_told_as_what_it_is(models: Path, tmp_path: Path) -> None:
    Installer(models).add_local(Request(source=parse_source(str(write_voice(tmp_path, "Both")))))
    for engine, wanted, says in (
        (
            "llama",
            "tiny",
            "(there: Loose-Q4, added); that name is there as a Whisper model; `voiced",
        ),
        ("llama", "both", "; that name is there as a Piper voice; `voiced"),
        ("whisper", "added.gguf", "(there: tiny); that name is there as a language model; `voiced"),
        ("piper", "tiny", "(there: Both); that name is there as a Whisper model; `voiced"),
    ):
        with pytest.raises(ModelError, match=re.escape(says)):
            find_model(models, engine, wanted)
    with pytest.raises(ModelError, match=r"\(there: tiny\); `voiced models add`"):
        find_model(models, "whisper", "nobody")


def test_the_only_one_needs_no_name(models: Path) -> None:
    assert find_model(models, "whisper", "") == models / "tiny"
    with pytest.raises(ModelError, match=r"llm\.model: name one of the models in .* \(there: Lo"):
        find_model(models, "llama", "")
    with pytest.raises(ModelError, match=r"\(there: none\); `voiced models add` brings one"):
        find_model(models / "nowhere", "llama", "")


def test_a_path_is_taken_as_it_is(models: Path) -> None:
    assert find_model(models, "llama", "/nowhere/x.gguf") == Path("/nowhere/x.gguf")
    assert find_model(models, "llama", "~/x.gguf") == Path.home() / "x.gguf"


def test_what_is_wrong_there_is_told_with_what_is_missing(models: Path) -> None:
    (models / "tiny" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tiny has a model\.bin without tokenizer\.json"):
        find_model(models, "whisper", "tiny")
