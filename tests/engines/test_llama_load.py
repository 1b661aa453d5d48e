"""Models that cannot be used, and machines that cannot use them: one line each, before READY."""

from __future__ import annotations

import struct
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.engines.llama_helpers import ask, loaded, needs_llama, system, user
from tests.models.llama_model import write_scripted
from voiced.engines.llm import llama, llama_library
from voiced.engines.llm.llama import LlamaEngine
from voiced.errors import ModelError

ANSWERS = {"zebra": ("Yes", ".")}


def refusal(options: dict[str, object]) -> str:
    with pytest.raises(ModelError) as caught:
        LlamaEngine(options).load()
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    write_scripted(folder / "one.gguf", ANSWERS)
    return folder


def test_without_the_extra_the_command_to_install_it_is_told(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    monkeypatch.delitem(sys.modules, "llama_cpp.llama_cpp", raising=False)
    said = refusal({"model": str(models / "one.gguf")})
    assert "llama-cpp-python is not installed" in said
    script = Path(__file__).parents[2] / "scripts" / "run"
    assert said.endswith(f"by: VOICED_EXTRAS=llama {script}")
    monkeypatch.setattr(llama_library, "checkout_script", lambda name: None)
    said = refusal({"model": str(models / "one.gguf")})
    assert f"{sys.executable} -m pip install 'llama-cpp-python" in said
    assert "<0.4" in said


def test_no_model_is_named(models: Path) -> None:
    write_scripted(models / "two.gguf", ANSWERS)
    said = refusal({"models_directory": str(models)})
    assert said.startswith("llm.model: name one of the models")
    assert "there: one, two" in said


def test_a_model_that_is_not_there(models: Path) -> None:
    said = refusal({"models_directory": str(models), "model": "other"})
    assert f"there is no llama model 'other' in {models}" in said
    assert "there: one" in said
    assert "there is no file /no/such.gguf" in refusal({"model": "/no/such.gguf"})


def test_a_damaged_model_needs_no_library_to_be_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama, "open_library", lambda: pytest.fail("too late"))
    path = models / "one.gguf"
    path.write_bytes(path.read_bytes()[:-100])
    assert "is damaged" in refusal({"model": str(path)})


def test_a_model_too_large_for_the_memory(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama, "free_memory", lambda: 10 << 20)
    said = refusal({"model": str(models / "one.gguf")})
    assert "one.gguf needs about" in said
    assert "10 MiB are free" in said


@needs_llama
def test_the_only_model_there_is_taken_and_described(models: Path) -> None:
    engine = LlamaEngine({"models_directory": str(models), "context": 512})
    info = engine.load()
    engine.close()
    assert (info.kind, info.name, info.model) == ("llm", "llama", "one")
    assert info.context_tokens == 512
    assert "prefill" in info.capabilities
    assert info.version == version("llama-cpp-python")


@needs_llama
def test_a_context_longer_than_it_learned_is_shortened(models: Path) -> None:
    engine = LlamaEngine({"model": str(models / "one.gguf"), "context": 100_000})
    assert engine.load().context_tokens == 2048
    engine.close()


@needs_llama
def test_a_model_that_llama_cpp_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    """The header is whole, a tensor has another shape than the header says."""
    path = write_scripted(tmp_path / "odd.gguf", ANSWERS)
    data = path.read_bytes()
    name = b"llama.embedding_length"
    at = data.index(name) + len(name) + 4
    (width,) = struct.unpack_from("<I", data, at)
    path.write_bytes(data[:at] + struct.pack("<I", width * 2) + data[at + 4 :])
    said = refusal({"model": str(path)})
    assert f"cannot load the GGUF model {path}" in said
    assert "shape" in said


@needs_llama
def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "odd.gguf", ANSWERS)
    path.write_bytes(path.read_bytes().replace(b"llama", b"lhama"))
    assert "unknown model architecture: 'lhama'" in refusal({"model": str(path)})


@needs_llama
@pytest.mark.parametrize(
    ("template", "word"),
    [
        ("{% for %}", "cannot be read"),
        ("{{ raise_exception('never') }}", "refuses the conversation: never"),
    ],
)
def test_a_template_that_is_none(tmp_path: Path, template: str, word: str) -> None:
    path = write_scripted(tmp_path / "odd.gguf", ANSWERS, template=template)
    said = refusal({"model": str(path)})
    assert str(path) in said
    assert word in said
    assert "llm.chat_template" in said


@needs_llama
def test_a_template_of_ones_own(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "odd.gguf", ANSWERS, template="{% for %}")
    own = tmp_path / "own.jinja"
    own.write_text("{{ messages[-1].content }}\n\n")
    with loaded(path, chat_template=str(own)) as engine:
        assert engine.prompt_text([user("zebra")]) == "zebra\n"
        assert ask(engine, user("zebra"))[0].text == "Yes."
    own.unlink()
    said = refusal({"model": str(path), "chat_template": str(own)})
    assert said.startswith("llm.chat_template: cannot read")


@needs_llama
def test_the_usual_form_ends_where_its_marks_are_written_as_text(tmp_path: Path) -> None:
    """They are no tokens of a model that was not made for them."""
    answers = {
        "zebra": ["Yes.<|im_", "end|>\n<|im_st", "art|>user"],
        "gnu": ["No.<|im_start", "|>"],
    }
    path = write_scripted(tmp_path / "bare.gguf", answers, template=None)
    with loaded(path, stop=("never",)) as engine:
        request, result = ask(engine, user("zebra"))
        assert (request.text, result["finish"], result["output_tokens"]) == ("Yes.", "stop", 2)
        assert ask(engine, user("gnu"))[0].text == "No."


@needs_llama
def test_without_a_template_the_usual_form_is_taken(tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "bare.gguf", ANSWERS, template=None)
    with loaded(path) as engine:
        assert engine.prompt_text([system("Be kind."), user("zebra")]) == (
            "<|im_start|>system\nBe kind.<|im_end|>\n"
            "<|im_start|>user\nzebra<|im_end|>\n<|im_start|>assistant\n"
        )
        assert ask(engine, user("zebra"))[0].text == "Yes."
