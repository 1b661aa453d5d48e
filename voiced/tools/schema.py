"""Checking arguments against the part of JSON Schema that tools use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
}
_KEYWORDS = frozenset({"type", "description", "enum", "minimum", "maximum", "maxLength"})
_OBJECT_KEYWORDS = frozenset(
    {"type", "description", "properties", "required", "additionalProperties"}
)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Raise `ValueError` where a tool's parameters need what `find_fault` does not check."""
    unknown = schema.keys() - _OBJECT_KEYWORDS
    if schema.get("type") != "object" or unknown:
        raise ValueError(f"parameters must be a plain object schema, not with {sorted(unknown)}")
    properties = schema.get("properties", {})
    for name, rule in properties.items():
        if rule.get("type") not in _TYPES or rule.keys() - _KEYWORDS:
            raise ValueError(f"the parameter {name!r} has a schema that is not checked: {rule}")
    if missing := set(schema.get("required", ())) - properties.keys():
        raise ValueError(f"required but not described: {sorted(missing)}")


def find_fault(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """What is wrong with `arguments`, in words for whoever called the tool; None where nothing."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in arguments:
            return f"the argument {name!r} is missing"
    for name, value in arguments.items():
        if name not in properties:
            known = ", ".join(sorted(properties)) or "none"
            return f"there is no argument {name!r}; known are: {known}"
        fault = _fault_of(value, properties[name])
        if fault:
            return f"the argument {name!r} {fault}"
    return None


def _fault_of(value: object, rule: Mapping[str, Any]) -> str | None:
    expected = rule["type"]
    if not isinstance(value, _TYPES[expected]) or (
        isinstance(value, bool) and expected != "boolean"
    ):
        return f"must be of type {expected}"
    if "enum" in rule and value not in rule["enum"]:
        return f"must be one of: {', '.join(map(str, rule['enum']))}"
    if isinstance(value, str):
        longest = rule.get("maxLength", math.inf)
        return None if len(value) <= longest else f"must be at most {longest} characters long"
    assert isinstance(value, (int, float))
    lowest, highest = rule.get("minimum", -math.inf), rule.get("maximum", math.inf)
    if not lowest <= value <= highest:  # not a number fails here too
        return f"must be from {lowest} to {highest}"
    return None
