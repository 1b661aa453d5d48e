"""The models directory: which models are there, under which names, and where their files are.

A model that `voiced models add` installed is a directory with a manifest in it. What somebody put
there by hand counts as well: NAME.gguf, NAME.onnx with NAME.onnx.json, or a directory with such
files or a Whisper model.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import msgspec

from voiced.errors import ModelError, StorageError
from voiced.models.manifest import (
    Manifest,
    hash_file,
    is_safe_name,
    read_manifest,
)
from voiced.models.shape import GGUF, ONNX, Shape, choose

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


REMOVED = ".removed-"
"""What a model that is being deleted is called, before its number and name."""

BLOCK_BYTES = 512
"""The unit of `st_blocks`, whatever the file system's own is (stat(2))."""


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model that is there. Without a manifest nobody knows what it should be."""

    name: str
    kind: str
    engine: str
    path: str
    """What the engine opens: a file, or the directory of a Whisper model."""
    size: int
    manifest: Manifest | None = None


class Listing(msgspec.Struct, frozen=True):
    """All models, by name, and a line for each thing there that is none and should be."""

    models: tuple[Model, ...]
    faults: tuple[str, ...]


class ModelsDirectory:
    """Looks into `path`, which need not exist; changes nothing there but in `remove`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def look(self, engine: str = "") -> Listing:
        """The models there, those of one engine where it is named. Raises `StorageError`."""
        models: list[Model] = []
        faults: list[str] = []
        for entry in self._entries():
            try:
                found = self._model(entry)
            except ModelError as exc:
                faults.append(str(exc))
            except OSError as exc:
                faults.append(f"cannot read {entry}: {exc.strerror}")
            else:
                if found is not None and engine in {"", found.engine}:
                    models.append(found)
        return Listing(tuple(models), tuple(faults))

    def find(self, name: str, engine: str = "") -> Model | None:
        """The model of that name, whatever its case; None where there is none."""
        wanted = name.lower()
        models = self.look(engine).models
        exact = (model for model in models if model.name == name)
        alike = (model for model in models if model.name.lower() == wanted)
        return next(exact, None) or next(alike, None)

    def _entries(self) -> list[Path]:
        try:
            return sorted(entry for entry in self.path.iterdir() if is_safe_name(entry.name))
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StorageError(f"cannot read the models in {self.path}: {exc.strerror}") from exc

    def _model(self, entry: Path) -> Model | None:
        if not entry.is_dir():
            return _loose(entry)
        manifest = read_manifest(entry)
        if manifest is not None:
            main = entry / manifest.main if manifest.main else entry
            return Model(
                name=entry.name,
                kind=manifest.kind,
                engine=manifest.engine,
                path=str(main),
                size=manifest.size,
                manifest=manifest,
            )
        there = [file.name for file in entry.iterdir() if file.is_file()]
        return _by_hand(entry.name, entry, choose(there, str(entry)))

    # -- what changes or checks one

    def verify(self, model: Model, advance: Callable[[int], None] = lambda _: None) -> list[str]:
        """What of an installed model is not as it was: a line each. None of one put by hand.

        `advance` is told the bytes that were read in each step.
        """
        if model.manifest is None:
            return []
        faults = []
        for file in model.manifest.files:
            path = self.path / model.name / file.path
            try:
                size = path.stat().st_size
                if size != file.size:
                    faults.append(f"{path} has {size} bytes instead of {file.size}")
                elif hash_file(path, advance) != file.sha256:
                    faults.append(f"{path} is damaged: its SHA-256 has changed")
            except FileNotFoundError:
                faults.append(f"{path} is missing")
            except OSError as exc:
                faults.append(f"{path} cannot be read: {exc.strerror}")
        return faults

    def remove(self, model: Model) -> int:
        """Delete its files. It is out of sight at once, and whole until then.

        Returns the bytes of the disk that this gives back, which are fewer than its size where
        a file has holes, and none where another link to it is left. Raises `StorageError`
        where they cannot be deleted.
        """
        entry = self.path / model.name
        # A directory of the name of a loose file is something else.
        is_loose = model.path != str(entry) and os.path.dirname(model.path) == str(self.path)
        try:
            for left in self.path.glob(f"{REMOVED}*"):  # by whoever was ended in the middle
                shutil.rmtree(left, ignore_errors=True)
            if is_loose:
                there = [path for path in _loose_files(self.path, model) if os.path.lexists(path)]
                freed = sum(map(_allocated, there))
                for path in there:
                    path.unlink(missing_ok=True)
            elif entry.is_symlink():
                freed = 0
                entry.unlink()  # what it points to is somewhere else, and somebody else's
            else:
                freed = sum(_allocated(path) for path in entry.rglob("*") if not path.is_dir())
                away = self.path / f"{REMOVED}{os.getpid()}-{model.name}"
                entry.rename(away)
                shutil.rmtree(away)
        except OSError as exc:
            raise StorageError(f"cannot remove {entry}: {exc.strerror}") from exc
        return freed


def _allocated(path: Path) -> int:
    """Bytes that the disk has back once this name of a file is gone."""
    status = path.lstat()
    return status.st_blocks * BLOCK_BYTES if status.st_nlink == 1 else 0


def _loose(entry: Path) -> Model | None:
    """A model whose files lie in the models directory itself."""
    if entry.suffix not in {GGUF, ONNX}:
        return None
    names = [entry.name, f"{entry.name}.json"]
    there = [name for name in names if (entry.parent / name).is_file()]
    if not there:
        raise ModelError(f"{entry} is a link to nothing")
    return _by_hand(entry.stem, entry.parent, choose(there, str(entry.parent)))


def _loose_files(directory: Path, model: Model) -> list[Path]:
    suffixes = {"llama": (GGUF,), "piper": (ONNX, f"{ONNX}.json")}[model.engine]
    return [directory / f"{model.name}{suffix}" for suffix in suffixes]


def _by_hand(name: str, directory: Path, shape: Shape) -> Model:
    return Model(
        name=name,
        kind=shape.kind,
        engine=shape.engine,
        path=str(directory / shape.main if shape.main else directory),
        size=sum((directory / file).stat().st_size for file in shape.files),
    )
