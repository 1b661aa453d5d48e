"""What `voiced doctor` looks at of models: are those that the settings name there, and whole?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voiced.cli.checks import Finding, is_voiced
from voiced.cli.models import show_size
from voiced.engines.budget import WHISPER_FILE, reckon
from voiced.engines.lineup import all_specs
from voiced.engines.memory import free_memory, whole_memory
from voiced.errors import ModelError, SettingsError, VoicedError
from voiced.models.ctranslate2 import read_model_file
from voiced.models.directory import Model, ModelsDirectory
from voiced.models.gguf import read_gguf
from voiced.models.naming import KEYS, find_model
from voiced.models.need import MIB, show_mib
from voiced.models.recommended import SERVICE_SHARE
from voiced.models.staging import STAGING
from voiced.settings_loader import models_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voiced.settings import Settings

MEMORY_CHECK = "memory for models"


def name_of_check(engine: str) -> str:
    """Of the finding about the model of an engine."""
    return f"{engine} model"


def check_models(settings: Settings) -> Iterator[Finding]:
    """One finding for each engine of the settings that has a model, and one for what else is in
    the models directory. Files are looked at, not read: `voiced models verify` does that."""
    directory = ModelsDirectory(models_directory(settings.store))
    for engine, key in KEYS.items():
        kind, _, name = key.partition(".")
        section = getattr(settings, kind)
        if section.engine == engine:
            yield _check(directory, engine, getattr(section, name))
    yield from check_together(settings)
    yield from _others(directory)


def check_together(settings: Settings) -> Iterator[Finding]:
    """Whether all engines fit the memory together: what the daemon asks before it loads them.

    Nothing where none of them has a model, and where the settings name an engine that there is
    not, which has a finding of its own.
    """
    try:
        budget = reckon(all_specs(settings))
    except SettingsError:
        return
    if not budget.needs:
        return
    check = MEMORY_CHECK
    need = f"the engines need about {show_mib(budget.bytes)} MiB together"
    free, service = free_memory(), int(whole_memory() * SERVICE_SHARE)
    shortage = budget.shortage(free)
    if shortage is not None:
        # Those of a daemon that runs already have taken theirs.
        if is_voiced(settings.server):
            detail = f"{need}, and voiced, which runs here, has its own; {free // MIB:,} MiB are"
            yield Finding(check=check, state="note", detail=f"{detail} free besides")
            return
        what, remedy = shortage
        remedy = f"{remedy}; or end other programs"
        yield Finding(check=check, state="failed", detail=what, remedy=remedy)
        return
    detail = f"{need}, and {free // MIB:,} MiB are free"
    if budget.bytes > service:
        detail = f"{detail}; as a service, voiced may take {service // MIB:,} MiB (MemoryMax)"
    yield Finding(check=check, state="note" if budget.bytes > service else "ok", detail=detail)


def _check(directory: ModelsDirectory, engine: str, wanted: str) -> Finding:
    check = name_of_check(engine)
    voice = wanted.partition("+")[0] if engine == "piper" else wanted
    try:
        path = find_model(directory.path, engine, voice)
        models = directory.look(engine).models
    except VoicedError as error:
        remedy = (
            "`voiced models list` tells what is there, `voiced models recommend` what would fit"
        )
        return Finding(check=check, state="failed", detail=str(error), remedy=remedy)
    model = next((model for model in models if Path(model.path) == path), None)
    faults = _wrong_sizes(directory, model) if model else [] if path.exists() else ["is not there"]
    detail = f"{path}: {'; '.join(faults)}" if faults else _damage(engine, path)
    if detail:
        return Finding(check=check, state="failed", detail=detail, remedy=_renewal(engine, model))
    if model is None:
        return Finding(check=check, state="ok", detail=f"{path}, a path of its own")
    licence = (model.manifest.licence if model.manifest else "") or "not known"
    detail = f"{model.name}, {show_size(model.size)}, licence {licence}"
    return Finding(check=check, state="ok", detail=detail)


def _damage(engine: str, path: Path) -> str:
    """What the head of a model says against it: that its end is missing, or that it is none.
    "" where nothing does, and for a voice, which has no such head."""
    try:
        if engine == "llama":
            read_gguf(path)
        elif engine == "whisper":
            read_model_file(path / WHISPER_FILE)
    except ModelError as error:
        return str(error)
    return ""


def _renewal(engine: str, model: Model | None) -> str:
    if model is None:
        return f"let {KEYS[engine]} name a file that is whole, or a model of `voiced models list`"
    again = f"`voiced models remove --force {model.name}`, and add it again"
    if model.manifest is None:
        return again
    return f"{again}; `voiced models verify {model.name}` tells more"


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
