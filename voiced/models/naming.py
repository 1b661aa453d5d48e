"""From what the settings say to a model: the one of that name, at that path, or the only one."""

from __future__ import annotations

from pathlib import Path

from voiced.errors import ModelError
from voiced.models.directory import ModelsDirectory
from voiced.models.shape import GGUF, ONNX

KEYS = {"whisper": "stt.model", "llama": "llm.model", "piper": "tts.voice"}
"""By engine: the setting that names its model."""


KINDS = {"whisper": "a Whisper model", "llama": "a language model", "piper": "a Piper voice"}
"""By engine: what a model for it is called in a sentence."""


def find_model(directory: Path, engine: str, wanted: str) -> Path:
    """What the engine opens: a file, or a directory.

    `wanted` is the name of a model in `directory`, whatever its case, or of its file; a path,
    which has a slash in it; or "", where there is only one. A path is taken as it is: whether
    something is there, the engine tells better. Raises `ModelError`, in one line, naming the
    setting and what models there are.
    """
    if "/" in wanted:
        return Path(wanted).expanduser()
    models = ModelsDirectory(directory)
    if wanted:
        name = wanted.removesuffix(GGUF).removesuffix(ONNX)
        found = models.find(wanted, engine) or models.find(name, engine)
        if found is not None:
            return Path(found.path)
    listing = models.look(engine)
    if not wanted and len(listing.models) == 1:
        return Path(listing.models[0].path)
    raise ModelError(
        f"{KEYS[engine]}: "
        + (f"there is no {engine} model {wanted!r} in" if wanted else "name one of the models in")
        + f" {directory} (there: {', '.join(model.name for model in listing.models) or 'none'}"
        + "".join(f"; {fault}" for fault in listing.faults)
        + f"){of_another_kind(directory, engine, wanted)}"
        + "; `voiced models add` brings one, and a path may be named"
    )


def of_another_kind(directory: Path, engine: str, wanted: str) -> str:
    """For whoever did not find `wanted`: that a model of another engine has this name, as words
    behind a sentence; "" where none has. Raises `StorageError`."""
    name = wanted.removesuffix(GGUF).removesuffix(ONNX).lower()
    found = [
        KINDS[model.engine]
        for model in ModelsDirectory(directory).look().models
        if model.engine != engine and model.name.lower() == name
    ]
    return f"; that name is there as {' and as '.join(found)}" if found else ""
