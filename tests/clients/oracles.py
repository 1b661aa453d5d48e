"""Two oracles over every server frame that any test receives (protocol sheet, 7.1).

`judge(frame)` holds a frame at once against the types of the `openai` package, more strictly
than its clients do: a number in a string is wrong. What it accepts is kept, one frame of each
shape, and when the session of tests ends one Node process puts all of them through
`@openai/agents-realtime`: its zod parser must know the event, and its transport must take it
without an exception. `tests/clients/oracle_plugin.py` starts that process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pydantic
from openai.types.realtime.realtime_server_event import RealtimeServerEvent

if TYPE_CHECKING:
    from voiced.conversation.events import ServerEvent

FOLDER = Path(__file__).resolve().parent
NODE_S = 60.0
"""Ends a Node process that hangs; judging all shapes takes it about a second."""

OLDEST_NODE = 20
"""Has a WebSocket of its own, as browsers do, behind --experimental-websocket."""

TELLING = frozenset({"type", "object", "status", "role", "reason", "name", "code", "format"})
"""Fields whose strings a parser tells apart; any other string is as good as any other."""

LONG = 80
"""Characters that are kept of a string that is only text to a parser."""

KNOWN_TO_PYTHON_ONLY = frozenset(
    {
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.dtmf_event_received",
        "conversation.item.input_audio_transcription.segment",
        "response.mcp_call.failed",
    }
)
"""Events of the protocol for which agents-realtime has no schema (7.1)."""


class BadFrame(Exception):
    """A frame that a vendor's client would refuse, drop or misread."""


class Shapes:
    """One frame of every shape, with the test that saw it first."""

    def __init__(self) -> None:
        self.frames: dict[str, tuple[str, str]] = {}
        self.seen = 0

    def keep(self, event: dict[str, Any]) -> None:
        self.seen += 1
        shape = json.dumps(_shape(event), sort_keys=True)
        if shape not in self.frames:
            test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" (")[0]
            self.frames[shape] = (test, json.dumps(_shortened(event)))


def _shape(value: Any, field: str = "") -> Any:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return {name: _shape(inner, name) for name, inner in value.items()}
        case list():
            shapes = [_shape(inner, field) for inner in value]
            return [s for i, s in enumerate(shapes) if s not in shapes[:i]]
        case str():
            return value if field in TELLING else "text"
        case bool() | None:
            return value
        case _:
            return type(value).__name__


def _shortened(value: Any) -> Any:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return {name: _shortened(inner) for name, inner in value.items()}
        case list():
            return [_shortened(inner) for inner in value]
        case str():
            return value[:LONG]
        case _:
            return value


@cache
def _openai() -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(
        Annotated[RealtimeServerEvent, pydantic.Field(discriminator="type")]
    )


@cache
def shapes() -> Shapes:
    """What this process has judged so far."""
    return Shapes()


def judge(frame: str) -> dict[str, Any]:
    """Decode a server frame; raises `BadFrame` where the openai package would not know it."""
    try:
        _openai().validate_json(frame, strict=True)
    except pydantic.ValidationError as exc:
        raise BadFrame(f"openai for Python: {exc}\nin {frame[:2000]}") from None
    event: dict[str, Any] = msgspec.json.decode(frame)
    shapes().keep(event)
    return event


def judge_event(event: ServerEvent) -> dict[str, Any]:
    """The same for an event of the core, which has no id yet."""
    seen = judge('{"event_id":"event_1",' + msgspec.json.encode(event).decode()[1:])
    del seen["event_id"]
    return seen


@cache
def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return int(said.stdout.strip().removeprefix("v").partition(".")[0] or 0)


def why_no_node() -> str | None:
    """Why Node's clients cannot be run here, or None where they can.

    With VOICED_REQUIRE_CLIENTS=1, as CI sets it, that is an error instead.
    """
    reason = None
    node = shutil.which("node")
    if node is None:
        reason = "Node.js is not installed"
    elif _major(node) < OLDEST_NODE:
        reason = f"{node} is older than Node.js {OLDEST_NODE}"
    elif not (FOLDER / "node_modules/@openai/agents-realtime").is_dir():
        reason = "its packages are not installed: npm ci in tests/clients, or scripts/test"
    if reason is not None and os.environ.get("VOICED_REQUIRE_CLIENTS") == "1":
        raise RuntimeError(f"VOICED_REQUIRE_CLIENTS=1, and {reason}")
    return reason


def refused_by_zod(frames: list[str]) -> dict[int, str]:
    """Which of these frames agents-realtime does not take, by their places, and why.

    Raises `RuntimeError` where Node did not judge every one of them.
    """
    asked = "".join(
        json.dumps([number, frame]) + "\n"
        for number, frame in enumerate(frames)
        if json.loads(frame)["type"] not in KNOWN_TO_PYTHON_ONLY
    )
    done = subprocess.run(
        ["node", "zod_oracle.mjs"],
        input=asked,
        capture_output=True,
        text=True,
        cwd=FOLDER,
        timeout=NODE_S,
        check=False,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode != 0 or len(answers) != asked.count("\n"):
        raise RuntimeError(f"the zod oracle broke: {done.stderr}")
    return {number: reason for number, reason in answers if reason is not None}
