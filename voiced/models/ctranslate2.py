"""What a CTranslate2 model file says of itself, checked before the library is let near it.

The library takes a number out of a damaged file for a size and may end the process; so the list
of matrices is walked here first, which reads a few kilobytes of the file and skips the rest.
Format: `ctranslate2/specs/model_spec.py`, `ModelSpec._serialize`.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from voiced.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

NEWEST_FORMAT = 6
MOST_MATRICES = 20_000
MOST_DIMENSIONS = 8


class ModelFile(msgspec.Struct, frozen=True):
    """The head of a `model.bin`: its kind, its size, and the shapes of its matrices."""

    kind: str
    bytes: int
    shapes: dict[str, tuple[int, ...]]


class _Damaged(Exception):
    pass


def read_model_file(path: Path) -> ModelFile:
    """Walk the file. Raises `ModelError` naming it, what is wrong, and what to do."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            kind, shapes = _walk(file, size)
    except OSError as exc:
        raise ModelError(f"cannot read {path}: {exc.strerror}") from exc
    except (_Damaged, struct.error, UnicodeDecodeError) as exc:
        cause = exc if isinstance(exc, _Damaged) else "it is no CTranslate2 model"
        raise ModelError(
            f"{path} is damaged, incomplete, or of another program ({cause}); copy or download "
            "it again"
        ) from exc
    return ModelFile(kind=kind, bytes=size, shapes=shapes)


def _walk(file: BinaryIO, size: int) -> tuple[str, dict[str, tuple[int, ...]]]:
    (version,) = _numbers(file, "<I")
    if not 1 < version <= NEWEST_FORMAT:
        raise _Damaged("it is no CTranslate2 model")
    kind = _string(file)
    _revision, count = _numbers(file, "<II")
    if not 0 < count <= MOST_MATRICES:
        raise _Damaged(f"it claims {count} matrices")
    shapes: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        name = _string(file)
        (rank,) = _numbers(file, "<B")
        if rank > MOST_DIMENSIONS:
            raise _Damaged(f"a matrix of {rank} dimensions")
        shapes[name] = _numbers(file, f"<{rank}I")
        _type, length = _numbers(file, "<BI")
        end = file.seek(length, os.SEEK_CUR)
        if end > size:
            raise _Damaged(f"it ends {(end - size + 1023) >> 10} KiB or more before it should")
    return kind, shapes


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    length = struct.calcsize(form)
    data = file.read(length)
    if len(data) < length:
        raise _Damaged("it ends in the middle")
    return struct.unpack(form, data)


def _string(file: BinaryIO) -> str:
    (length,) = _numbers(file, "<H")
    data = file.read(length)
    if not data or len(data) < length:
        raise _Damaged("it ends in the middle")
    return data[:-1].decode("ascii")
