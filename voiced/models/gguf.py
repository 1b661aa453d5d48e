"""What a GGUF file says of itself, read without llama.cpp.

llama.cpp says what is wrong with a file in lines of log, after it has begun to load it. Here the
header is read first, so that a damaged file, one of another kind, or one that does not fit the
memory is named in one line with the remedy.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = b"GGUF"
VERSIONS = (2, 3)
DEFAULT_ALIGNMENT = 32

MOST_KEYS = 65_536
MOST_TENSORS = 1_048_576
MOST_DIMENSIONS = 4
MOST_PARTS = 99_999
"""Bounds of a sane file: beyond them a header is damaged, and not to be followed."""

KEPT_ITEMS = 512
"""Longer arrays, which are vocabularies, are passed over."""

SCALARS = dict(zip(range(8), ("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?"), strict=True))
SCALARS |= {10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9

F32, F16, BF16 = 0, 1, 30
TENSOR_BLOCKS = {F32: (1, 4), F16: (1, 2), BF16: (1, 2)}
TENSOR_BLOCKS |= {2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36)}
TENSOR_BLOCKS |= {10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210)}
TENSOR_BLOCKS |= {16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18)}
TENSOR_BLOCKS |= {21: (256, 110), 22: (256, 82), 23: (256, 136), 29: (256, 56), 34: (256, 54)}
TENSOR_BLOCKS |= {24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 35: (256, 66)}
TENSOR_BLOCKS |= {39: (32, 17), 40: (64, 36), 41: (128, 18)}
"""By ggml's number of a tensor type: weights in a block, and its bytes (ggml-common.h)."""

EMBEDDINGS = "a model of embeddings"
NOT_LANGUAGE = {
    "clip": "the eyes of a model that sees",
    "whisper": "a model of speech recognition",
    "t5": "a model of the kind that translates",
    "wavtokenizer-dec": "a part of a model that speaks",
    **dict.fromkeys(("bert", "modern-bert", "neo-bert", "eurobert", "t5encoder"), EMBEDDINGS),
    **dict.fromkeys(("nomic-bert", "nomic-bert-moe", "gemma-embedding", "llama-embed"), EMBEDDINGS),
    **dict.fromkeys(("jina-bert-v2", "jina-bert-v3"), EMBEDDINGS),
    **dict.fromkeys(("dream", "llada", "llada-moe", "rnd1"), "a model that writes all at once"),
    **dict.fromkeys(("eagle3", "dflash", "gemma4-assistant"), "a helper of another model"),
}
"""By llama.cpp's name of the network (llama-arch.cpp)."""

ADDITIONS = ("adapter", "mmproj", "imatrix", "vocab")
"""Values of general.type beside "model"."""


class GgufFile(msgspec.Struct, frozen=True, kw_only=True):
    """The header of a file: `values` has its metadata, without long arrays."""

    path: Path
    values: dict[str, Any]
    parts: tuple[Path, ...]
    size_bytes: int
    """Of all parts of the model together."""

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the network: llama, qwen2, gemma3, …"""
        return str(self.values.get("general.architecture", ""))

    @property
    def context_trained(self) -> int:
        """The longest text, in tokens, that it learned on; 0 where it does not say."""
        return self._number("context_length")

    def kv_bytes(self, context: int) -> int:
        """Memory that the keys and values of `context` tokens take, as 16-bit numbers."""
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        wide = self._number("embedding_length") // max(heads, 1)
        key = self._number("attention.key_length") or wide
        value = self._number("attention.value_length") or wide
        kept = self.values.get(f"{self.architecture}.attention.head_count_kv")
        if isinstance(kept, list):
            kept_heads = sum(item for item in kept if isinstance(item, int))
        else:
            kept_heads = layers * (kept if isinstance(kept, int) else heads)
        return 2 * context * (key + value) * kept_heads

    def _number(self, key: str) -> int:
        value = self.values.get(f"{self.architecture}.{key}")
        if isinstance(value, list):
            return max((item for item in value if isinstance(item, int)), default=0)
        return _whole(self.values, f"{self.architecture}.{key}")


def _whole(values: Mapping[str, Any], key: str) -> int:
    """A number of the metadata; 0 where there is none, or something else."""
    value = values.get(key)
    return value if isinstance(value, int) and value > 0 else 0


class _Damaged(Exception):
    """The header ends too soon or makes no sense."""


class _Header:
    """A cursor over the bytes of a file. Everything read is bounded by the file."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.at = 0

    def scalar(self, code: str) -> Any:  # noqa: ANN401 - as the code says
        size = struct.calcsize(code)
        if self.at + size > len(self._data):
            raise _Damaged("the file ends within its header")
        (value,) = struct.unpack_from(code, self._data, self.at)
        self.at += size
        return value

    def skip(self, count: int) -> None:
        if count < 0 or self.at + count > len(self._data):
            raise _Damaged("the file ends within its header")
        self.at += count

    def text(self) -> str:
        length = self.scalar("<Q")
        start = self.at
        self.skip(length)
        return bytes(self._data[start : self.at]).decode("utf-8", "replace")

    def value(self, kind: int) -> object:
        """A metadata value; None for an array that is too long to be kept."""
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.text()
        if kind != ARRAY:
            raise _Damaged(f"there is no type of value {kind}")
        item_kind, count = self.scalar("<I"), self.scalar("<Q")
        if item_kind == ARRAY:
            raise _Damaged("an array holds arrays")
        if count <= KEPT_ITEMS:
            return [self.value(item_kind) for _ in range(count)]
        if item_kind in SCALARS:
            self.skip(count * struct.calcsize(SCALARS[item_kind]))
        else:
            for _ in range(count):
                self.skip(self.scalar("<Q"))
        return None


def read_gguf(path: Path) -> GgufFile:
    """Read and check the header. Raises `ModelError`, one line with file, cause and remedy."""
    first, values, tensors = _read_part(path)
    parts = [path]
    count = _whole(values, "split.count")
    if count > 1:
        parts = _all_parts(path, values, count)
        for part in parts[1:]:
            _read_part(part)
    size = first + sum(part.stat().st_size for part in parts[1:])
    file = GgufFile(path=path, values=values, parts=tuple(parts), size_bytes=size)
    _check_kind(file)
    if not tensors and count <= 1:
        raise ModelError(f"{path} is a vocabulary without a model; choose a model that chats")
    return file


def _read_part(path: Path) -> tuple[int, dict[str, Any], int]:
    """The size of one file, its metadata, and how many tensors it has."""
    try:
        with path.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(0)
            start = opened.read(64)
            if size < 24 or not start.startswith(MAGIC):
                raise ModelError(f"{path} is no GGUF model: {_what_else(start, size)}")
            with mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return size, *_parse(data, size)
    except FileNotFoundError as exc:
        raise ModelError(
            f"there is no file {path}; `voiced models list` shows the models that there are"
        ) from exc
    except IsADirectoryError as exc:
        raise ModelError(f"{path} is a directory; choose a .gguf file") from exc
    except OSError as exc:
        raise ModelError(f"cannot read {path}: {exc.strerror}") from exc
    except _Damaged as exc:
        raise ModelError(f"the GGUF model {path} is damaged: {exc}; download it again") from exc


def _what_else(start: bytes, size: int) -> str:
    lowered = start.lstrip().lower()
    if not size:
        return "it is empty; download it again"
    if lowered.startswith((b"<!doctype", b"<html")):
        return (
            "it is a web page, such as a download site shows in place of the file; "
            "fetch the file itself"
        )
    if start.startswith(b"version https://git-lfs"):
        return "it is the pointer of git-lfs to it; run `git lfs pull` there"
    if start.startswith(b"PK\x03\x04"):
        return "it is a zip archive or a PyTorch checkpoint; choose the GGUF version of the model"
    if start[8:9] == b"{":
        return "it is a safetensors file; choose the GGUF version of the model"
    return "it does not begin with GGUF; choose a .gguf file"


def _parse(data: mmap.mmap, size: int) -> tuple[dict[str, Any], int]:
    header = _Header(data)
    header.skip(len(MAGIC))
    version = header.scalar("<I")
    if version not in VERSIONS:
        raise _Damaged(f"it has version {version}, which nothing here can read")
    tensors, keys = header.scalar("<Q"), header.scalar("<Q")
    if keys > MOST_KEYS or tensors > MOST_TENSORS:
        raise _Damaged(f"it claims {keys} keys and {tensors} tensors")
    values: dict[str, Any] = {}
    for _ in range(keys):
        name = header.text()
        values[name] = header.value(header.scalar("<I"))
    ends = [_end_of_tensor(header) for _ in range(tensors)]
    alignment = _whole(values, "general.alignment") or DEFAULT_ALIGNMENT
    begin = -(-header.at // alignment) * alignment
    if ends and begin + max(ends) > size:
        missing = begin + max(ends) - size
        raise _Damaged(f"the last {missing:,} bytes are missing")
    return values, tensors


def _end_of_tensor(header: _Header) -> int:
    """Where the data of the next tensor ends, from the start of all data."""
    header.skip(header.scalar("<Q"))
    dimensions = header.scalar("<I")
    if dimensions > MOST_DIMENSIONS:
        raise _Damaged(f"a tensor claims {dimensions} dimensions")
    weights = 1
    for _ in range(dimensions):
        weights *= header.scalar("<Q")
    kind, offset = header.scalar("<I"), header.scalar("<Q")
    block, block_bytes = TENSOR_BLOCKS.get(kind, (1, 0))
    return int(offset + weights // block * block_bytes)


def _all_parts(path: Path, values: dict[str, Any], count: int) -> list[Path]:
    """The files of a model that is split: NAME-00001-of-00003.gguf and so on."""
    number = _whole(values, "split.no") + 1
    ending = f"-{number:05d}-of-{count:05d}.gguf"
    if count > MOST_PARTS or not path.name.endswith(ending):
        raise ModelError(
            f"the GGUF model {path} is part {number} of {count}, and is not named so; give it the "
            f"name it was published under, which ends in {ending}"
        )
    stem = path.name.removesuffix(ending)
    names = [f"{stem}-{part:05d}-of-{count:05d}.gguf" for part in range(1, count + 1)]
    parts = [path.with_name(name) for name in names]
    if number != 1:
        raise ModelError(f"{path} is part {number} of {count}; llm.model is to name {names[0]}")
    for part in parts:
        if not part.exists():
            raise ModelError(f"the GGUF model {path} is in {count} parts, and {part} is not there")
    return parts


def _check_kind(file: GgufFile) -> None:
    """Raises `ModelError` for what is GGUF and yet cannot answer in words."""
    what = NOT_LANGUAGE.get(file.architecture)
    if file.values.get("general.type") in ADDITIONS:
        what = f"an addition to a model ({file.values['general.type']})"
    elif what is None and (
        file.values.get(f"{file.architecture}.attention.causal") is False
        or _whole(file.values, f"{file.architecture}.pooling_type")
    ):
        what = EMBEDDINGS
    elif not file.architecture:
        what = "a file without general.architecture"
    elif "tokenizer.ggml.model" not in file.values and what is None:
        what = "a file without a tokenizer, a vocabulary or a part of a model"
    if what is not None:
        raise ModelError(f"{file.path} is {what}, not a language model; choose one that chats")
