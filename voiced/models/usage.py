"""Which settings name a model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from voiced.models.naming import KEYS
from voiced.models.shape import GGUF

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voiced.models.directory import Model
    from voiced.settings import Settings


def uses_of(settings: Settings, model: Model, models: Sequence[Model]) -> tuple[str, ...]:
    """The keys that name `model`, of the section whose engine would open it: by its name, with a
    speaker behind it, or by a path to or into it; or by naming none, where it is the only one of
    `models` for that engine."""
    section = getattr(settings, model.kind)
    if section.engine != model.engine:
        return ()
    named = [
        key
        for key, value in _strings(model.kind, msgspec.to_builtins(section))
        if value and _names(value, model)
    ]
    key = KEYS[model.engine]
    is_only = [other.name for other in models if other.engine == model.engine] == [model.name]
    if not getattr(section, key.partition(".")[2], "") and is_only:
        named.append(key)
    return tuple(named)


def _strings(key: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - plain data
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for inner, found in value.items():
            yield from _strings(f"{key}.{inner}", found)
    elif isinstance(value, list):
        for found in value:
            yield from _strings(key, found)


def _names(value: str, model: Model) -> bool:
    name = model.name.lower()
    if value.partition("+")[0].lower() in {name, name + GGUF}:
        return True
    if "/" not in value:
        return False
    given, has = Path(os.path.abspath(Path(value).expanduser())), Path(model.path)
    return given == has or (given in has.parents and given.name == model.name)
