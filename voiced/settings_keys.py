"""The sections and keys of the settings, and what may stand at each.

Whatever is wrong is one `SettingsError` of one line that begins with where it was found.
"""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

import msgspec
from msgspec import inspect

from voiced.errors import SettingsError
from voiced.settings import Settings
from voiced.settings_text import allowed, toml_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def sections() -> dict[str, dict[str, msgspec.structs.FieldInfo]]:
    """Every section, and the description of every key in it."""
    return {
        section.name: {field.name: field for field in msgspec.structs.fields(section.type)}
        for section in msgspec.structs.fields(Settings)
    }


def nearest(name: str, known: Iterable[str], what: str) -> str:
    """A hint for a name that is not there: the one that was meant, or else all that are."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else f"known {what}: {', '.join(known)}"


def field_of(section: str, key: str, where: str) -> msgspec.structs.FieldInfo:
    """The key's description; `where` begins the error when there is no such key."""
    known = sections()
    if section not in known:
        hint = nearest(section, known, "sections")
        raise SettingsError(f"{where}: there is no section {section}; {hint}")
    if key not in known[section]:
        others = [name for name, keys in known.items() if key in keys]
        hint = (
            f"it belongs to section {others[0]}"
            if len(others) == 1
            else nearest(key, known[section], f"keys of {section}")
        )
        raise SettingsError(f"{where}: there is no key {section}.{key}; {hint}")
    return known[section][key]


def convert(section: str, key: str, value: object, where: str) -> object:
    """The value of a key in the key's own type. Raises `SettingsError` saying what is allowed."""
    field = field_of(section, key, where)
    try:
        converted = msgspec.convert(value, field.type)
        if isinstance(converted, float) and not math.isfinite(converted):
            raise msgspec.ValidationError("not a finite number")
    except msgspec.ValidationError as error:
        if " - at `$[" in str(error) and _is_tables(field):
            raise SettingsError(f"{where}: {section}.{key}: {_inside(str(error))}") from error
        shown = "this value" if section == "auth" else _abridged(value)
        raise SettingsError(
            f"{where}: {section}.{key} cannot be {shown}; it is {allowed(field.type)}"
        ) from error
    return converted


def _is_tables(field: msgspec.structs.FieldInfo) -> bool:
    info = inspect.type_info(field.type)
    return isinstance(info, inspect.VarTupleType) and isinstance(info.item_type, inspect.StructType)


def _inside(message: str) -> str:
    """msgspec's words for a fault in a list of tables: `... - at `$[0].url``."""
    fault, _, place = message.rpartition(" - at `$[")
    number, _, rest = place.strip("`").partition("]")
    key = f", {rest[1:]}" if rest else ""
    return f"table {int(number) + 1}{key}: {fault[:1].lower()}{fault[1:]}"


def _abridged(value: object) -> str:
    text = " ".join(toml_of(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
