"""Functions that a client offers to the model, and how it may choose among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

FunctionName = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$", max_length=64)]


class FunctionTool(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag="function",
):
    """A function of the client's; `parameters` is the JSON schema of its arguments."""

    name: FunctionName
    description: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class ChosenFunction(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag="function",
):
    """A `tool_choice` that has the model call this function."""

    name: FunctionName


ToolChoice = Literal["auto", "none", "required"] | ChosenFunction
"""Whether the model may call tools, may not, must call one, or must call this one."""


def refused_tool(given: Mapping[str, Any]) -> tuple[str, str] | None:
    """What is wrong with `tools` and `tool_choice` beyond their shape: a message, and the path of
    the field in `given`, which is a `session` or a `response`. None where nothing is."""
    tools = given.get("tools")
    named: set[str] = set()
    for index, tool in enumerate(tools if isinstance(tools, list | tuple) else ()):
        if not isinstance(tool, Mapping):
            continue
        if tool.get("type") == "mcp":
            return NO_MCP, f"tools[{index}].type"
        name = tool.get("name")
        if isinstance(name, str):
            if name in named:
                return f"Two tools are named '{name}'.", f"tools[{index}].name"
            named.add(name)
    choice = given.get("tool_choice")
    if isinstance(choice, Mapping) and choice.get("type") == "mcp":
        return NO_MCP, "tool_choice.type"
    return None


NO_MCP = (
    "Tools of type 'mcp' are not supported: this server calls no MCP servers. "
    "Offer what they do as tools of type 'function', and run those in the client."
)
