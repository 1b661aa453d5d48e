"""Whether all engines fit the memory together, on models that are holes in the disk."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.models.llama_model import write_scripted
from voiced.engines.budget import Budget, reckon
from voiced.engines.lineup import all_specs
from voiced.errors import ModelError
from voiced.models.gguf import GgufFile, read_gguf
from voiced.models.need import DAEMON_BYTES, MIB, SMALL_BYTES, llama_need, piper_need, whisper_need
from voiced.models.recommended import SETS, ModelSet
from voiced.settings import Llm, Settings, Store, Stt, Tts

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


def hole(path: Path, size: int) -> Path:
    """A file of that size which takes no room."""
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.truncate(path, size)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three models of 1, 3 and 1/16 GiB, and the assistant in front of the language model."""
    hole(tmp_path / "whisper" / "model.bin", GIB)
    write_scripted(tmp_path / "llm.gguf", {}, context=4096)
    hole(tmp_path / "llm.gguf", 3 * GIB)
    hole(tmp_path / "voice.onnx", 64 * MIB)
    return Settings(
        stt=Stt(engine="whisper", model=f"{tmp_path}/whisper"),
        llm=Llm(engine="llama", model=f"{tmp_path}/llm.gguf"),
        tts=Tts(engine="piper", voice=f"{tmp_path}/voice.onnx"),
        store=Store(directory=str(tmp_path / "state")),
    )


def budget_of(settings: Settings) -> Budget:
    return reckon(all_specs(settings))


def refusal(budget: Budget, free: int) -> str:
    with pytest.raises(ModelError) as caught:
        budget.check(free)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_fits_one_by_one_is_refused_together(settings: Settings, tmp_path: Path) -> None:
    budget = budget_of(settings)
    assert [need.engine for need in budget.needs] == ["whisper", "llama", "piper"]
    assert budget.rest_bytes == DAEMON_BYTES + SMALL_BYTES  # the assistant's
    budget.check(budget.bytes)
    free = budget.bytes - 1
    for need in budget.needs:
        need.check(free)
    said = refusal(budget, free)
    assert said.startswith("the engines need about 5,010 MiB of memory together (")
    for file, size in (
        ("whisper/model.bin", "1,280"),
        ("llm.gguf", "3,170"),
        ("voice.onnx", "448"),
    ):
        assert f"{tmp_path}/{file} {size}" in said
    assert f"{free // MIB:,} MiB are free" in said


def test_the_remedy_is_one_model_that_makes_all_fit(settings: Settings) -> None:
    """The largest, for what needs most; where no single one helps, it says where to look."""
    budget = budget_of(settings)
    others = budget.bytes - budget.needs[1].bytes
    larger, small = SETS[1].choices[1], SETS[0].choices[1]
    said = refusal(budget, others + larger.memory_bytes)
    assert "choose a smaller one for llm.model: " in said
    assert f"voiced models add {larger.source})" in said
    assert small.source in refusal(budget, others + larger.memory_bytes - 1)
    assert small.source in refusal(budget, others + small.memory_bytes)
    said = refusal(budget, 1 * GIB)
    assert "hf:" not in said
    assert "voiced models recommend" in said
    assert "or lower llm.context" in said


def test_the_remedy_reckons_with_the_context_of_the_settings(
    settings: Settings, tmp_path: Path
) -> None:
    write_scripted(tmp_path / "llm.gguf", {}, context=16_384)
    hole(tmp_path / "llm.gguf", 3 * GIB)
    llm = Llm(engine="llama", model=f"{tmp_path}/llm.gguf", context=16_384)
    budget = budget_of(Settings(stt=settings.stt, llm=llm, tts=settings.tts))
    others = budget.bytes - budget.needs[1].bytes
    small = SETS[0].choices[1]
    free = others + small.memory_bytes + 3 * 8192 * small.token_bytes
    assert small.source in refusal(budget, free)
    assert small.source not in refusal(budget, free - 1)


def test_one_that_is_alone_is_named_alone(settings: Settings, tmp_path: Path) -> None:
    said = refusal(budget_of(Settings(llm=settings.llm)), 2 * GIB)
    assert said.startswith(f"the GGUF model {tmp_path}/llm.gguf needs about 3,")
    assert "choose a smaller model, or lower llm.context" in said


def test_the_context_counts(settings: Settings, tmp_path: Path) -> None:
    write_scripted(tmp_path / "llm.gguf", {}, context=1 << 20)
    short, long = (
        Settings(llm=Llm(engine="llama", model=f"{tmp_path}/llm.gguf", context=context))
        for context in (1024, 1 << 20)
    )
    assert budget_of(long).bytes > budget_of(short).bytes + MIB


def test_a_voice_is_found_by_its_name_and_a_speaker(settings: Settings, tmp_path: Path) -> None:
    models = tmp_path / "state" / "models"
    models.mkdir(parents=True)
    hole(models / "mine.onnx", MIB)
    hole(models / "mine.onnx.json", 2)
    store = Store(directory=str(tmp_path / "state"))
    budget = budget_of(Settings(tts=Tts(engine="piper", voice="mine+anna"), store=store))
    assert [need.what for need in budget.needs] == [f"the Piper voice {models}/mine.onnx"]


@pytest.mark.parametrize("damage", ["gone", "empty", "noise", "unreadable"])
def test_a_model_that_is_no_model_is_left_to_its_engine(
    settings: Settings, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "llm.gguf"
    path.unlink()
    if damage == "unreadable":
        path.symlink_to(path)
    elif damage != "gone":
        path.write_bytes(b"" if damage == "empty" else b"GGUF\x03\0\0\0" + b"\xff" * 64)
    assert [need.engine for need in budget_of(settings).needs] == ["whisper", "piper"]


def test_a_header_with_nonsense_for_a_number_is_reckoned_without_it(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "llm.gguf"
    write_scripted(path, {})
    key = b"llama.attention.head_count_kv"
    data = path.read_bytes()
    at = data.index(key) + len(key)
    # A text in place of a number, which has 4 bytes: its engine tells what it makes of that.
    path.write_bytes(data[:at] + b"\x08\0\0\0" + (1).to_bytes(8, "little") + b"x" + data[at + 8 :])
    assert read_gguf(path).values[key.decode()] == "x"
    assert [need.engine for need in budget_of(settings).needs] == ["whisper", "llama", "piper"]


def test_a_path_that_is_none_is_left_to_its_engine(settings: Settings) -> None:
    tts = Tts(engine="piper", voice="no\0path.onnx")
    budget = budget_of(Settings(stt=settings.stt, llm=settings.llm, tts=tts))
    assert [need.engine for need in budget.needs] == ["whisper", "llama"]


def test_without_models_nothing_is_refused() -> None:
    budget = budget_of(Settings())
    assert (budget.needs, budget.rest_bytes) == ((), DAEMON_BYTES + 3 * SMALL_BYTES)
    budget.check(0)


@pytest.mark.parametrize("models", SETS, ids=lambda models: f"{models.memory_gb}")
def test_the_daemon_reckons_what_is_recommended_as_was_said(
    models: ModelSet, tmp_path: Path
) -> None:
    stt, llm, tts = models.choices
    layers, width = (24, 896) if "0.5" in llm.name else (28, 1536)
    heads = 14 if "0.5" in llm.name else 12
    file = GgufFile(
        path=tmp_path,
        parts=(tmp_path,),
        size_bytes=llm.size_mb * 10**6,
        values={
            "general.architecture": "qwen2",
            "qwen2.block_count": layers,
            "qwen2.embedding_length": width,
            "qwen2.attention.head_count": heads,
            "qwen2.attention.head_count_kv": 2,
            "qwen2.context_length": 32_768,
        },
    )
    needs = (
        whisper_need(tmp_path, stt.size_mb * 10**6),
        llama_need(file, Llm().context, Llm().conversations),
        piper_need(tmp_path, tts.size_mb * 10**6),
    )
    assert [need.bytes for need in needs] == [choice.memory_bytes for choice in models.choices]
    rest = DAEMON_BYTES + SMALL_BYTES
    Budget(needs=needs, rest_bytes=rest).check(models.memory_mb * 10**6)
    with pytest.raises(ModelError, match=re.escape("the engines need about")):
        Budget(needs=needs, rest_bytes=rest).check(models.memory_bytes - 1)
