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

WORKING_BYTES = 256 << 20
"""What running a model takes beside its file at most: measured 208 MiB for the shape of tiny and
234 MiB for base, int8, on windows of 30 s with word times."""


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


def check_memory(file: ModelFile, path: Path, free_bytes: int) -> None:
    """Raises `ModelError` where loading the model would take more memory than there is."""
    needed = file.bytes + WORKING_BYTES
    if needed > free_bytes:
        raise ModelError(
            f"{path} needs about {needed >> 20} MiB of memory and {free_bytes >> 20} MiB are "
            "free; take a smaller model, such as tiny or base, or one converted with "
            "--quantization int8"
        )


def free_memory() -> int:
    """Bytes that may still be taken: what the kernel has available, or the control group's rest.

    Source: proc(5), `MemAvailable`; the kernel's cgroup-v2 document, `memory.max`.
    """
    free = _available()
    group = _own_group()
    while group is not None:
        limit = _number_in(f"{group}/memory.max")
        used = _number_in(f"{group}/memory.current")
        if limit is not None and used is not None:
            free = min(free, limit - used)
        parent = os.path.dirname(group)
        group = parent if parent.startswith(_GROUPS + "/") else None
    return max(0, free)


_GROUPS = "/sys/fs/cgroup"


def _available() -> int:
    with open("/proc/meminfo", encoding="ascii") as meminfo:
        for line in meminfo:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 1 << 62


def _own_group() -> str | None:
    try:
        with open("/proc/self/cgroup", encoding="ascii") as groups:
            for line in groups:
                if line.startswith("0::/"):
                    return _GROUPS + line[3:].rstrip("\n").rstrip("/")
    except (OSError, UnicodeDecodeError):
        pass
    return None


def _number_in(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None  # no such limit, or "max"
