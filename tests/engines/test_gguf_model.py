"""Headers of model files: what they say, and what is wrong with them, in one line."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest

from tests.models.llama_model import write_scripted
from tests.models.llama_shapes import SMALL, write_random
from voiced.errors import ModelError
from voiced.models.gguf import TENSOR_BLOCKS, read_gguf
from voiced.models.need import llama_need

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_scripted(tmp_path / "model.gguf", {"zebra": ("Yes", ".")})


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_gguf(path)
    said = str(caught.value)
    assert "\n" not in said
    assert path.name in said
    return said


def test_a_header_tells_what_is_needed(model: Path) -> None:
    file = read_gguf(model)
    assert (file.architecture, file.context_trained) == ("llama", 2048)
    assert file.size_bytes == model.stat().st_size
    assert file.values["general.name"] == "model"
    # 16-bit keys and values, one layer, one head of 64
    assert file.kv_bytes(100) == 100 * 2 * 64 * 2


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_every_missing_end_is_noticed(tmp_path: Path, share: float) -> None:
    model = write_random(tmp_path / "model.gguf", SMALL)
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * share)])
    said = refusal(model)
    assert "is damaged" in said
    assert said.endswith("download it again")


def test_the_very_last_byte_counts(model: Path) -> None:
    model.write_bytes(model.read_bytes()[:-1])
    assert "the last 1 bytes are missing" in refusal(model)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>not found</html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"PK\x03\x04" + bytes(40), "zip archive"),
        (struct.pack("<Q", 40) + b'{"weights": {}}' + bytes(40), "safetensors"),
        (b"lmgg" + bytes(40), "does not begin with GGUF"),
    ],
)
def test_what_is_no_gguf_is_named(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    said = refusal(path)
    assert "is no GGUF model" in said
    assert word in said


@pytest.mark.parametrize("at", [4, 8, 16, 24, 40, 100, 500])
def test_a_damaged_header_is_an_error_and_nothing_worse(model: Path, at: int) -> None:
    data = bytearray(model.read_bytes())
    data[at : at + 8] = b"\xff" * 8
    model.write_bytes(data)
    refusal(model)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path / "absent.gguf")
    folder = tmp_path / "folder.gguf"
    folder.mkdir()
    assert "is a directory; choose a .gguf file" in refusal(folder)


def write_kind(
    path: Path, architecture: str, *, tokenizer: bool = True, kind: str = "", pooled: bool = False
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    if pooled:
        writer.add_pooling_type(gguf.PoolingType.LAST)
    if tokenizer:
        writer.add_tokenizer_model("llama")
    if kind:
        writer.add_type(kind)
    writer.add_tensor("weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize(
    ("architecture", "tokenizer", "kind", "word"),
    [
        ("clip", False, "", "eyes"),
        ("bert", True, "", "embeddings"),
        ("gemma-embedding", True, "", "embeddings"),
        ("t5", True, "", "translates"),
        ("llada", True, "", "all at once"),
        ("eagle3", True, "", "a helper of another model"),
        ("", False, "imatrix", "imatrix"),
        ("llama", False, "", "without a tokenizer"),
        ("llama", True, "adapter", "adapter"),
    ],
)
def test_other_kinds_are_told_apart(
    tmp_path: Path, architecture: str, tokenizer: bool, kind: str, word: str
) -> None:
    said = refusal(
        write_kind(tmp_path / "model.gguf", architecture, tokenizer=tokenizer, kind=kind)
    )
    assert word in said
    assert "not a language model" in said


def test_a_model_that_was_made_into_one_of_embeddings(tmp_path: Path) -> None:
    """It has the network of one that chats, and answers nonsense."""
    path = write_kind(tmp_path / "model.gguf", "qwen3", pooled=True)
    assert "is a model of embeddings, not a language model" in refusal(path)
    assert read_gguf(write_kind(tmp_path / "chats.gguf", "qwen3")).architecture == "qwen3"


def test_a_vocabulary_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert "is a vocabulary without a model; choose a model that chats" in refusal(path)


def test_the_size_of_every_kind_of_tensor_is_known() -> None:
    """Else a file that ends too soon is not noticed. Two kinds are never in files."""
    never = (gguf.GGMLQuantizationType.Q8_1, gguf.GGMLQuantizationType.Q8_K)
    sizes = {int(k): size for k, size in gguf.GGML_QUANT_SIZES.items() if k not in never}
    assert {k: size for k, size in TENSOR_BLOCKS.items() if k in sizes} == sizes


@pytest.mark.parametrize(
    "key",
    ["general.alignment", "split.count", "llama.block_count", "llama.attention.head_count_kv"],
)
@pytest.mark.parametrize("value", ["many", 2**32 - 1, 0])
def test_a_number_that_is_none_or_too_large_is_no_crash(
    tmp_path: Path, key: str, value: str | int
) -> None:
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_key_value(
        key, value, gguf.GGUFValueType.STRING if value == "many" else gguf.GGUFValueType.UINT32
    )
    writer.add_tensor("weight", np.zeros((4, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    if value == 2**32 - 1 and key in ("general.alignment", "split.count"):
        refusal(path)
    else:
        file = read_gguf(path)
        assert (file.context_trained, file.kv_bytes(100)) == (0, 0)


def split(folder: Path, names: list[str]) -> list[Path]:
    paths = []
    for number, name in enumerate(names):
        writer = gguf.GGUFWriter(folder / name, "llama")
        writer.add_tokenizer_model("llama")
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", len(names))
        writer.add_tensor(f"weight{number}", np.zeros((4, 32), np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        paths.append(folder / name)
    return paths


def test_a_model_in_parts_needs_them_all(tmp_path: Path) -> None:
    names = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
    first, second = split(tmp_path, names)
    file = read_gguf(first)
    assert file.size_bytes == first.stat().st_size + second.stat().st_size
    assert "llm.model is to name m-00001-of-00002.gguf" in refusal(second)
    second.unlink()
    assert "m-00002-of-00002.gguf is not there" in refusal(first)


def test_a_part_that_was_renamed(tmp_path: Path) -> None:
    (first, _) = split(tmp_path, ["a.gguf", "b.gguf"])
    assert "ends in -00001-of-00002.gguf" in refusal(first)


# -- memory ------------------------------------------------------------------------------------


def test_a_model_too_large_is_refused_with_its_numbers(model: Path) -> None:
    file = read_gguf(model)
    need = llama_need(file, 1000, 1)
    need.check(need.bytes)
    with pytest.raises(ModelError, match=r"model\.gguf needs about \d+ MiB .* and 50 MiB are free"):
        need.check(50 << 20)


def test_the_context_counts_too(tmp_path: Path) -> None:
    file = read_gguf(write_random(tmp_path / "model.gguf", SMALL))
    llama_need(file, 4096, 1).check(200 << 20)
    with pytest.raises(ModelError, match=r"2,048 for 1,048,576 tokens"):
        llama_need(file, 4096, 256).check(200 << 20)


def test_no_more_context_than_a_model_was_trained_for_is_counted(model: Path) -> None:
    file = read_gguf(model)
    assert llama_need(file, 1 << 20, 2) == llama_need(file, 2048, 2)
    assert llama_need(file, 1024, 2).bytes < llama_need(file, 2048, 2).bytes
