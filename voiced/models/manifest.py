"""What voiced keeps beside a model that it installed: where it is from, and what its files were."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

import msgspec

from voiced.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = "voiced-model.json"

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")
"""A model's name is the name of its directory. No `+`, which stands before a speaker, no blank,
and no dot in front: those directories are voiced's own."""

READ_BYTES = 1 << 20

ModelKind = Literal["stt", "llm", "tts"]


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a model: its path within the model's directory, its bytes, their SHA-256."""

    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An installed model. `added` is in UTC, as ISO 8601; `licence` is "" where nobody told it."""

    name: str
    kind: ModelKind
    engine: str
    main: str
    """What the engine is given: a file of the model, or "" for its directory."""
    source: str
    licence: str = ""
    added: str
    files: tuple[ModelFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all of its files."""
        return sum(file.size for file in self.files)


def is_safe_name(name: str) -> bool:
    """Whether a model may be called that."""
    return MODEL_NAME.fullmatch(name) is not None


def is_safe_path(path: str) -> bool:
    """Whether a file of a model may be there: below the model's directory, and nowhere else."""
    parts = PurePosixPath(path).parts
    return (
        bool(parts)
        and str(PurePosixPath(path)) == path
        and all(part.isprintable() and "\\" not in part for part in parts)
        and not any(part.startswith((".", "/")) for part in parts)
        and path != MANIFEST
    )


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest of the model in `directory`; None for one that was put there by hand.

    Raises `ModelError` for one that cannot be read, or that names files elsewhere.
    """
    path = directory / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ModelError(f"cannot read {path}: {exc.strerror}") from exc
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise ModelError(f"{path} is damaged ({exc}); add the model again") from exc
    paths = [file.path for file in manifest.files]
    if not all(map(is_safe_path, paths)) or manifest.main not in {"", *paths}:
        raise ModelError(f"{path} names files that are not the model's; add the model again")
    return manifest


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write it into the model's directory, and on to the disk."""
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    with (directory / MANIFEST).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def hash_file(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """SHA-256 of a file, in hex; `advance` is told the bytes of each step."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()
