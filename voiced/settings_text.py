"""Settings in words: what a key may be, and how TOML writes a value."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect


def allowed(type_: Any) -> str:  # noqa: ANN401 - any annotation msgspec understands
    """What a key of this type may be, in words."""
    info = inspect.type_info(type_)
    while isinstance(info, inspect.Metadata):
        info = info.type
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _bounds(info)
        case inspect.FloatType():
            return "a number" + _bounds(info)
        case inspect.StrType():
            return "a string"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(f'"{value}"' for value in values)
        case inspect.VarTupleType(item_type=inspect.StructType()):
            return 'a list of tables, such as [{ url = "https://host.example/v1" }]'
        case inspect.VarTupleType() | inspect.ListType():
            return 'a list of strings, such as ["one", "two"]'
        case inspect.DictType():
            return "a table, such as { name = 1 }"
        case _:
            return str(type_)


def _bounds(info: inspect.IntType | inspect.FloatType) -> str:
    if info.ge is not None and info.le is not None:
        return f" from {info.ge:g} to {info.le:g}"
    if info.ge is not None:
        return f" of at least {info.ge:g}"
    if info.gt is not None and info.le is not None:
        return f" above {info.gt:g}, at most {info.le:g}"
    if info.gt is not None:
        return f" above {info.gt:g}"
    return ""


def toml_of(value: object) -> str:
    """`value` as TOML writes it; inline for tables. For showing, and for the tests."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return msgspec.json.encode(value).decode()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return "[" + ", ".join(toml_of(item) for item in value) + "]"
        case dict():
            items = ", ".join(f"{_toml_key(key)} = {toml_of(item)}" for key, item in value.items())
            return "{ " + items + " }" if items else "{}"
        case _:
            return str(value)


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else toml_of(key)
