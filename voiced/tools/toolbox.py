"""The tools a model may call, and calling them safely: a model gets an answer, never an exception.

A package adds a tool by an entry point of the group `voiced.tools`, named like the tool, that
points at something called with `Services` and returning a `Tool`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import structlog
import trio

from voiced.engines.ports import Priority
from voiced.engines.record import Record
from voiced.errors import SettingsError, ToolError
from voiced.tools.clock import local_now
from voiced.tools.home import NoHome
from voiced.tools.schema import check_schema, find_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from voiced.tools.home import Home
    from voiced.tools.timers import Timers

GROUP = "voiced.tools"
DEADLINE_S = 5.0
_MOST_ARGUMENT_CHARACTERS = 16_384

log = structlog.get_logger(__name__)

Outcome = Literal["done", "declined", "bad_arguments", "failed", "timeout"]
"""What became of a call. `declined`: the tool's own answer was that it cannot."""

_FAULTS: dict[Outcome, str] = {"failed": "a call failed", "timeout": "a call took too long"}


class ToolContext(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a tool is called."""

    session_id: str = ""
    language: str = "en"


class Tool(Protocol):
    """Something a model can do. `parameters` is a JSON schema of an object.

    An attribute `deadline_s` may set another deadline than `DEADLINE_S`.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Do it; `arguments` fit `parameters`. Runs in the daemon: it must not block.

        The result is made of JSON values and has `ok`; where that is false, `error` is a code
        and `message` says more. `ToolError` counts as such a result with the code `failed`.
        Cancelled by the tool's deadline and with the response that asked.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the daemon offers to tools."""

    timers: Timers
    home: Home
    now: Callable[[], datetime]
    """The wall clock, in the zone of this place."""


class ToolUse:
    """A tool in its place, and how it did: `calls` is how many run now, and `record` what came of
    the others, the failures by `Outcome`. `version` is that of the package it came in."""

    __slots__ = ("calls", "record", "tool", "version")

    def __init__(self, tool: Tool, version: str = "") -> None:
        self.tool = tool
        self.version = version
        self.calls = 0
        self.record = Record(trio.current_time)


class Toolbox:
    """A set of tools by name. Of each it keeps how its calls went, and nothing else."""

    def __init__(self, tools: Iterable[Tool], versions: Mapping[str, str] | None = None) -> None:
        """`versions` are those of the packages that they come from, by name of the tool.

        Raises `SettingsError` for two tools of one name or a schema that cannot be checked.
        """
        self._tools: dict[str, ToolUse] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise SettingsError(f"two tools are named {tool.name!r}")
            try:
                check_schema(tool.parameters)
            except ValueError as error:
                raise SettingsError(f"the tool {tool.name!r} cannot be used: {error}") from error
            self._tools[tool.name] = ToolUse(tool, (versions or {}).get(tool.name, ""))

    @classmethod
    def discover(
        cls,
        *,
        timers: Timers,
        home: Home | None = None,
        now: Callable[[], datetime] = local_now,
    ) -> Toolbox:
        """All installed tools. Raises `SettingsError` naming one that cannot be loaded."""
        services = Services(timers=timers, home=home or NoHome(), now=now)
        tools: list[Tool] = []
        versions: dict[str, str] = {}
        for entry in sorted(set(entry_points(group=GROUP)), key=lambda entry: entry.name):
            try:
                tools.append(entry.load()(services))
                versions[tools[-1].name] = "" if entry.dist is None else entry.dist.version
            except Exception as error:  # whatever a foreign package raises
                raise SettingsError(
                    f"the tool {entry.name!r} ({entry.value}) cannot be loaded: "
                    f"{type(error).__name__}: {error}"
                ) from error
        return cls(tools, versions)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all tools."""
        return tuple(self._tools)

    def schemas(self) -> list[dict[str, Any]]:
        """What a model is told: name, description and parameters of each tool."""
        return [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in (use.tool for use in self._tools.values())
        ]

    @property
    def uses(self) -> tuple[ToolUse, ...]:
        """All tools, and how they did."""
        return tuple(self._tools.values())

    async def call(self, name: str, arguments_json: str, context: ToolContext) -> str:
        """Call a tool with JSON text and return JSON text.

        Never raises for what the model or the tool did wrong: the result is then
        `{"ok": false, "error": code, "message": text}`. Cancelling it cancels the tool.
        """
        use = self._tools.get(name)
        if use is None:
            return _failure("unknown_tool", f"there is no tool {name!r}")
        began = trio.current_time()
        use.calls += 1
        try:
            outcome, answer = await _call(use.tool, arguments_json, context)
        finally:
            use.calls -= 1
        if outcome == "done":
            took_s = trio.current_time() - began
            use.record.timings.add("whole", Priority.CONVERSATION, took_s)
        else:
            use.record.failures[outcome] += 1
        if outcome in _FAULTS:
            use.record.warn(outcome, _FAULTS[outcome])
        return answer


async def _call(tool: Tool, arguments_json: str, context: ToolContext) -> tuple[Outcome, str]:
    """What became of a call, and what the model is told."""
    try:
        arguments = _parse_arguments(arguments_json)
    except ValueError as error:
        return "bad_arguments", _failure("bad_arguments", str(error))
    if fault := find_fault(arguments, tool.parameters):
        return "bad_arguments", _failure("bad_arguments", fault)
    deadline_s = getattr(tool, "deadline_s", DEADLINE_S)
    try:
        with trio.move_on_after(deadline_s) as scope:
            result = await tool.call(arguments, context)
            outcome: Outcome = "done" if result.get("ok") else "declined"
            return outcome, msgspec.json.encode(result).decode()
    except ToolError as error:
        return "failed", _failure("failed", error.public)
    except Exception:
        log.exception("tool failed", tool=tool.name)
        return "failed", _failure("failed", "the tool failed")
    assert scope.cancelled_caught
    log.warning("tool timed out", tool=tool.name, deadline_s=deadline_s)
    return "timeout", _failure("timeout", "the tool took too long")


def _parse_arguments(text: str) -> dict[str, Any]:
    if len(text) > _MOST_ARGUMENT_CHARACTERS:
        raise ValueError("the arguments are too long")
    try:
        arguments = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise ValueError("the arguments are not valid JSON") from None
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are not a JSON object")
    return arguments


def _failure(error: str, message: str) -> str:
    return json.dumps({"ok": False, "error": error, "message": message})
