"""The head of a GGUF file: enough to tell what model it is, and that none of it is missing.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3). Only the
head is read; llama.cpp reads the rest, with checks of its own.
"""

from __future__ import annotations

import os
import struct
from typing import IO, TYPE_CHECKING, Any

import msgspec

from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"GGUF"
VERSIONS = (2, 3)

MOST_ENTRIES = 1 << 20
MOST_STRING_BYTES = 16 << 20
"""Beyond what any model has: a damaged head is not to be believed about how much to read."""

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_NUMBERS[12] = "d"
_STRING, _ARRAY = 8, 9
_DEFAULT_ALIGNMENT = 32


class GgufHead(msgspec.Struct, frozen=True):
    """What the head says. `texts` holds those of its entries that are strings."""

    texts: dict[str, str]
    tensors: int
    needed_bytes: int
    """The least that the whole file has: up to where its last tensor begins."""


class _Reader:
    """Numbers and strings from a file, with an end."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def take(self, form: str) -> Any:  # noqa: ANN401 - the form says which number
        data = self.file.read(struct.calcsize("<" + form))
        return struct.unpack("<" + form, data)[0]

    def count(self, most: int) -> int:
        number: int = self.take("Q")
        if number > most:
            raise ValueError(f"a count of {number}")
        return number

    def string(self) -> str:
        size = self.count(MOST_STRING_BYTES)
        data = self.file.read(size)
        if len(data) < size:
            raise ValueError("a string that is cut off")
        return data.decode("utf-8", "replace")

    def value(self, kind: int) -> object:
        """One value; arrays are passed over, since nothing here needs any."""
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.take(_NUMBERS[kind])
        inner, length = self.take("I"), self.count(MOST_STRING_BYTES)
        if inner in _NUMBERS:
            self.file.seek(struct.calcsize("<" + _NUMBERS[inner]) * length, os.SEEK_CUR)
        else:
            for _ in range(length):
                self.value(inner)
        return None


def read_head(path: Path) -> GgufHead:
    """Raises `ModelError` naming the file where it is no GGUF, damaged, or not whole."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(4) != MAGIC:
                raise ModelError(f"{path} is not a GGUF file")
            head = _read(_Reader(file))
    except OSError as exc:
        raise ModelError(f"cannot read {path}: {exc.strerror}") from exc
    except (struct.error, ValueError, KeyError, RecursionError) as exc:
        raise ModelError(f"{path} is a GGUF file with a damaged head; get it again") from exc
    if head.needed_bytes > size:
        raise ModelError(
            f"{path} is cut off: it has {size} bytes, and needs more than {head.needed_bytes}; "
            "get it again"
        )
    return head


def _read(reader: _Reader) -> GgufHead:
    version = reader.take("I")
    if version not in VERSIONS:
        raise ValueError(f"version {version}")
    tensors, entries = reader.count(MOST_ENTRIES), reader.count(MOST_ENTRIES)
    texts: dict[str, str] = {}
    alignment = _DEFAULT_ALIGNMENT
    for _ in range(entries):
        key = reader.string()
        value = reader.value(reader.take("I"))
        if isinstance(value, str):
            texts[key] = value
        elif key == "general.alignment" and isinstance(value, int) and value > 0:
            alignment = value
    last = 0
    for _ in range(tensors):
        reader.string()
        for _ in range(reader.take("I")):
            reader.take("Q")
        reader.take("I")
        last = max(last, reader.take("Q"))
    begin = -(-reader.file.tell() // alignment) * alignment
    return GgufHead(texts, tensors, begin + last + 1 if tensors else begin)
