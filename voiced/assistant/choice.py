"""Which tool the assistant may call, must call, and with what arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiced.errors import ToolChoiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from voiced.engines.ports import ToolChoice


class Offer:
    """The tools of one request, by name, with the JSON schemas of their parameters.

    Takes tools in either of OpenAI's shapes: flat, or under `function`.
    """

    def __init__(self, tools: Iterable[Mapping[str, Any]], choice: ToolChoice = "auto") -> None:
        self.choice = choice
        self._schemas: dict[str, Mapping[str, Any]] = {}
        for tool in tools:
            tool = tool.get("function") or tool
            schema = tool.get("parameters")
            self._schemas[str(tool.get("name"))] = schema if isinstance(schema, dict) else {}

    @property
    def must_call(self) -> bool:
        """Whether text is no answer."""
        return self.choice not in ("auto", "none")

    def arguments(self, name: str, slots: Mapping[str, Any]) -> dict[str, Any] | None:
        """Arguments for what was understood; None where that tool is not to be had, or asks for
        what the sentence did not say."""
        if self.choice == "none" or name not in self._schemas:
            return None
        schema = self._schemas[name]
        known = schema.get("properties")
        if isinstance(known, dict):
            slots = {key: value for key, value in slots.items() if key in known}
        return dict(slots) if slots.keys() >= set(required(schema)) else None

    def forced(self, name: str, slots: Mapping[str, Any] | None, words: str) -> dict[str, Any]:
        """Arguments for a tool that must be called: what was understood, where that was about
        it; else the user's own words, where it asks for one text; else none, where it asks for
        nothing. Raises `ToolChoiceError`."""
        if name not in self._schemas:
            raise ToolChoiceError(f"There is no tool {name!r} to call.")
        if slots is not None and (found := self.arguments(name, slots)) is not None:
            return found
        schema = self._schemas[name]
        match required(schema):
            case []:
                return {}
            case [only] if is_text(schema, only) and words:
                return {only: words}
        raise ToolChoiceError(f"The arguments of {name!r} are not to be told from what was said.")

    def any_forced(self, words: str) -> tuple[str, dict[str, Any]]:
        """The one tool that can be called without understanding; raises `ToolChoiceError`."""
        found = []
        for name in self._schemas:
            try:
                found.append((name, self.forced(name, None, words)))
            except ToolChoiceError:
                continue
        if len(found) != 1:
            raise ToolChoiceError("None of the tools is plainly the one that was asked for.")
        return found[0]


def required(schema: Mapping[str, Any]) -> list[str]:
    """The parameters that a call cannot do without."""
    names = schema.get("required")
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def is_text(schema: Mapping[str, Any], name: str) -> bool:
    """Whether that parameter takes any text."""
    properties = schema.get("properties")
    rule = properties.get(name) if isinstance(properties, dict) else None
    return isinstance(rule, dict) and rule.get("type") == "string" and "enum" not in rule
