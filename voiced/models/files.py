"""Files of models on this machine: found, copied, and brought to the disk."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from voiced.errors import ModelError
from voiced.models.manifest import READ_BYTES, ModelFile
from voiced.models.shape import ONNX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def files_at(given: Path) -> tuple[dict[str, Path], str]:
    """The files that may be of the model at a path, by name; and what it would be called."""
    try:
        if given.is_dir():
            inside = (file for file in given.iterdir() if file.is_file())
            return {file.name: file for file in inside}, given.name
        if not given.is_file():
            raise ModelError(f"{given} is no file and no directory")
    except OSError as exc:
        raise ModelError(f"cannot read {given}: {exc.strerror}") from exc
    files = {given.name: given}
    beside = given.with_name(f"{given.name}.json")
    if given.name.endswith(ONNX) and beside.is_file():
        files[beside.name] = beside
    return files, given.stem


def bytes_in(directory: Path) -> int:
    """Of all files in it."""
    return sum(file.stat().st_size for file in directory.iterdir())


def copy_file(origin: Path, target: Path, advance: Callable[[int], None]) -> ModelFile:
    """A copy, read once: its checksum is of what was written."""
    digest = hashlib.sha256()
    size = 0
    with origin.open("rb") as source, target.open("wb") as file:
        while block := source.read(READ_BYTES):
            digest.update(block)
            file.write(block)
            size += len(block)
            advance(len(block))
        file.flush()
        os.fsync(file.fileno())
    return ModelFile(path=target.name, size=size, sha256=digest.hexdigest())


def sync_directory(path: Path) -> None:
    """Have the names in it on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
