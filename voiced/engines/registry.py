"""Finding engines by name, through the entry-point group `voiced.engines`.

An entry point is named `kind.name` (`tts.espeak`) and points at a class that implements
`ChildEngine`. Nothing of an engine is imported here: the class is loaded in the child, which
is handed its `module:Class`, since reading the metadata of a whole environment takes longer
than starting a small engine.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from voiced.engines.spec import EngineSpec
from voiced.errors import SettingsError
from voiced.settings_loader import models_directory, state_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voiced.engines.ports import Kind
    from voiced.settings import Settings

ServedKind = Literal["stt", "llm", "tts"]
SERVED_KINDS: tuple[ServedKind, ...] = ("stt", "llm", "tts")
"""The kinds that run in processes of their own."""

GROUP = "voiced.engines"

NO_ENGINE = "none"
"""In place of an engine's name: no process, where servers do the work."""


def find_targets(found: Iterable[EntryPoint] | None = None) -> dict[str, str]:
    """All installed engines: `kind.name` → `module:Class`.

    Raises `SettingsError` where two packages claim one name for different classes.
    """
    targets: dict[str, str] = {}
    for entry in entry_points(group=GROUP) if found is None else found:
        if targets.setdefault(entry.name, entry.value) != entry.value:
            raise SettingsError(
                f"engine {entry.name} is claimed twice: "
                f"by {targets[entry.name]} and by {entry.value}"
            )
    return targets


def resolve(
    kind: Kind,
    name: str,
    options: Mapping[str, Any],
    *,
    threads: int = 2,
    found: Iterable[EntryPoint] | None = None,
) -> EngineSpec:
    """What an `EngineHost` needs to run the engine that the settings name.

    Raises `SettingsError`, listing the engines of that kind, when there is none of that name.
    """
    targets = find_targets(found)
    target = targets.get(f"{kind}.{name}")
    if target is None:
        prefix = f"{kind}."
        known = sorted(key.removeprefix(prefix) for key in targets if key.startswith(prefix))
        allowed = ", ".join(known) if known else "none is installed"
        raise SettingsError(f"{kind}.engine: there is no {name!r}; allowed: {allowed}")
    return EngineSpec(kind=kind, name=name, target=target, options=dict(options), threads=threads)


def configured(settings: Settings, kind: ServedKind, name: str | None = None) -> EngineSpec:
    """The engine that the settings name for `kind`, or the one of that name, with its options.

    An engine is handed its section, and what all of them may want to know: where state and
    models are kept, the language, and the files of the assistant. Raises `SettingsError` as
    `resolve` does.
    """
    section = getattr(settings, kind)
    if (name or section.engine) == NO_ENGINE:
        raise SettingsError(f"{kind}.engine is {NO_ENGINE}, and this needs an engine here")
    shared = {
        "state_directory": str(state_directory(settings.store)),
        "models_directory": str(models_directory(settings.store)),
        "language": settings.stt.language,
        "sentences": settings.llm.sentences,
        "home": settings.llm.home,
    }
    options = msgspec.to_builtins(section)
    options.pop("providers", None)  # nothing of theirs is an engine's business
    return resolve(kind, name or section.engine, {**shared, **options})
