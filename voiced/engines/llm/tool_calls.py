"""Calls of functions as models write them, read out of what they said.

Every family of models has its own marks. Known are those of Hermes and Qwen, Llama 3, Mistral,
Granite, LFM2, Qwen's coders, and JSON without any marks.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection


class Call(msgspec.Struct, frozen=True):
    """A function that the model wants called."""

    name: str
    arguments: dict[str, Any]


class Marks(msgspec.Struct, frozen=True):
    """What stands around a call; "" as the end is the end of the answer."""

    begin: str
    end: str


MARKS = (
    Marks("<tool_call>", "</tool_call>"),
    Marks("<function_call>", "</function_call>"),
    Marks("<|tool_call_start|>", "<|tool_call_end|>"),
    Marks("<|tool_call|>", ""),
    Marks("<|python_tag|>", ""),
    Marks("[TOOL_CALLS]", ""),
    Marks("<function=", "</function>"),
)

THOUGHT = (
    Marks("<think>", "</think>"),
    Marks("<thinking>", "</thinking>"),
    Marks("[THINK]", "[/THINK]"),
    Marks("<|START_THINKING|>", "<|END_THINKING|>"),
)
"""What is meant for nobody's ears."""

FENCE = re.compile(r"\A\s*```(?:json)?\s*\n?(.*?)\n?\s*```\s*\Z", re.DOTALL)
ARGUMENT = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
NAMED = re.compile(r"\A([\w.-]+)\s*(?:\[CALL_ID\][^\[{]*)?(?:\[ARGS\])?\s*(\{.*)\Z", re.DOTALL)


class Unreadable(Exception):
    """Between the marks of a call there is something else."""


def read_calls(marks: Marks, body: str) -> list[Call]:
    """The calls between `marks`. Raises `Unreadable`."""
    if marks.begin == "<function=":
        return [_xml_call(f"<function={body}")]
    body = body.strip()
    if body.startswith("<function="):
        return [_xml_call(body)]
    if marks.begin == "<|tool_call_start|>":
        return _python_calls(body)
    if marks.begin == "[TOOL_CALLS]" and (match := NAMED.match(body)):
        return [named_call(match[1], match[2])]
    return _json_calls(body)


def named_call(name: str, arguments: str) -> Call:
    """A call whose name stands outside its JSON. Raises `Unreadable`."""
    return Call(name, _object(_first_json(arguments)))


def read_plain(text: str, names: Collection[str]) -> list[Call]:
    """Calls in an answer that has no marks and yet is nothing but calls of known functions."""
    fenced = FENCE.match(text)
    try:
        calls = _json_calls((fenced[1] if fenced else text).strip())
    except Unreadable:
        return []
    return calls if all(call.name in names for call in calls) else []


def may_be_plain(text: str) -> bool | None:
    """Whether an answer that begins so may be a call in JSON; None where it is too short."""
    start = text.lstrip()
    if not start or "```json".startswith(start):
        return None
    return start[0] in "{[" or start.startswith("```")


def _json_calls(body: str) -> list[Call]:
    """One or several JSON objects, in a list, or one after the other."""
    calls: list[Call] = []
    rest = body.strip().removesuffix("<|eom_id|>")
    while rest:
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(rest)
        except (ValueError, RecursionError) as exc:
            raise Unreadable(str(exc)) from exc
        calls += map(_json_call, value if isinstance(value, list) else [value])
        rest = rest[end:].lstrip().removeprefix(";").lstrip()
    if not calls:
        raise Unreadable("nothing is there")
    return calls


def _json_call(item: object) -> Call:
    if isinstance(item, dict) and isinstance(item.get("function"), dict):
        item = item["function"]
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise Unreadable("there is no name")
    arguments = item.get("arguments", item.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _first_json(arguments or "{}")
    return Call(item["name"], _object(arguments))


def _first_json(text: str) -> object:
    try:
        return json.JSONDecoder(strict=False).raw_decode(text.strip())[0]
    except (ValueError, RecursionError) as exc:
        raise Unreadable(str(exc)) from exc


def _object(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("its arguments are no object")
    return value


def _xml_call(text: str) -> Call:
    """`<function=NAME>` around JSON (Llama 3) or around `<parameter=…>` (Qwen's coders)."""
    head, bracket, rest = text.removeprefix("<function=").partition(">")
    if not bracket or not head.strip():
        raise Unreadable("there is no name")
    rest = rest.split("</function>")[0]
    if "<parameter=" not in rest and rest.strip():
        return Call(head.strip(), _object(_first_json(rest)))
    return Call(head.strip(), {key: _literal(value) for key, value in ARGUMENT.findall(rest)})


def _literal(text: str) -> object:
    """A parameter's value, which is JSON where it can be and else text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _python_calls(body: str) -> list[Call]:
    """`[set_light(room="kitchen", on=True)]`, read and never run."""
    try:
        tree = ast.parse(body, mode="eval").body
        nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
        calls = []
        for node in nodes:
            named = isinstance(node, ast.Call) and all(k.arg for k in node.keywords)
            if not isinstance(node, ast.Call) or node.args or not named:
                raise Unreadable("it is no call with named arguments")
            arguments = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            calls.append(Call(ast.unparse(node.func), arguments))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise Unreadable(str(exc)) from exc
    return calls
