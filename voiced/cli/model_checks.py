"""What `voiced doctor` looks at of models: are those that the settings name there, and whole?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from voiced.cli.checks import Finding
from voiced.cli.models import show_size
from voiced.errors import VoicedError
from voiced.models.directory import Model, ModelsDirectory
from voiced.models.naming import KEYS, find_model
from voiced.models.staging import STAGING
from voiced.settings_loader import models_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voiced.settings import Settings


def check_models(settings: Settings) -> Iterator[Finding]:
    """One finding for each engine of the settings that has a model, and one for what else is in
    the models directory. Files are looked at, not read: `voiced models verify` does that."""
    directory = ModelsDirectory(models_directory(settings.store))
    needed = 0
    for engine, key in KEYS.items():
        kind, _, name = key.partition(".")
        section = getattr(settings, kind)
        if section.engine == engine:
            found = _check(directory, engine, getattr(section, name))
            needed += found[1]
            yield found[0]
    if needed > (free := psutil.virtual_memory().available):
        yield Finding(
            check="memory for models",
            state="note",
            detail=f"the models have {show_size(needed)}, and {show_size(free)} are available",
        )
    yield from _others(directory)


def _check(directory: ModelsDirectory, engine: str, wanted: str) -> tuple[Finding, int]:
    """The finding, and the bytes of the model."""
    check = f"{engine} model"
    voice = wanted.partition("+")[0] if engine == "piper" else wanted
    try:
        path = find_model(directory.path, engine, voice)
        models = directory.look(engine).models
    except VoicedError as error:
        remedy = (
            "`voiced models list` tells what is there, `voiced models recommend` what would fit"
        )
        return Finding(check=check, state="failed", detail=str(error), remedy=remedy), 0
    model = next((model for model in models if Path(model.path) == path), None)
    faults = _wrong_sizes(directory, model) if model else [] if path.exists() else ["is not there"]
    if faults:
        remedy = "remove it and add it again; `voiced models verify` tells more"
        detail = f"{path}: {'; '.join(faults)}"
        return Finding(check=check, state="failed", detail=detail, remedy=remedy), 0
    if model is None:
        return Finding(check=check, state="ok", detail=f"{path}, a path of its own"), 0
    licence = (model.manifest.licence if model.manifest else "") or "not known"
    detail = f"{model.name}, {show_size(model.size)}, licence {licence}"
    return Finding(check=check, state="ok", detail=detail), model.size


def _wrong_sizes(directory: ModelsDirectory, model: Model) -> list[str]:
    if model.manifest is None:
        return []
    faults = []
    for file in model.manifest.files:
        path = directory.path / model.name / file.path
        if not path.is_file():
            faults.append(f"{file.path} is missing")
        elif path.stat().st_size != file.size:
            faults.append(f"{file.path} has {path.stat().st_size} bytes instead of {file.size}")
    return faults


def _others(directory: ModelsDirectory) -> Iterator[Finding]:
    for fault in directory.look().faults:
        yield Finding(check="models directory", state="note", detail=fault)
    staging = directory.path / STAGING
    parts = [path for path in staging.glob("*/*") if path.suffix != ".from"]
    if parts:
        size = sum(path.stat().st_size for path in parts)
        yield Finding(
            check="models directory",
            state="note",
            detail=f"{show_size(size)} of interrupted models are in {staging}; `voiced models add` "
            "with the same source continues, deleting the directory gives them up",
        )
