"""What `/api/limitations` tells: every limit, read off the settings themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

if TYPE_CHECKING:
    from voiced.settings import Settings


class Limitation(msgspec.Struct, frozen=True):
    """One limit: the settings key, its value in force, the unit, and what happens beyond it."""

    name: str
    value: int | float
    unit: str
    exceeded: str


def list_limitations(settings: Settings) -> list[Limitation]:
    """Return all keys of `settings` that are marked with `voiced.settings.limit`, in order."""
    return [
        Limitation(f"{section}.{key}", getattr(struct, key), mark["unit"], mark["exceeded"])
        for section in settings.__struct_fields__
        for struct in [getattr(settings, section)]
        for key, mark in _marks(type(struct)).items()
    ]


def _marks(section: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    hints = get_type_hints(section, include_extras=True)
    marks: dict[str, dict[str, Any]] = {}
    for key in section.__struct_fields__:
        for meta in get_args(hints[key])[1:]:
            if isinstance(meta, msgspec.Meta) and meta.extra and "exceeded" in meta.extra:
                marks[key] = meta.extra
    return marks
