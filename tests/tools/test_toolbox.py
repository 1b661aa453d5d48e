"""Calling tools: whatever a model asks, it gets an answer and never an exception."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import trio

from voiced.assistant.announcements import load_announcements
from voiced.errors import SettingsError, ToolError
from voiced.tools.home import SetLight, UnknownDeviceError
from voiced.tools.timers import Timers
from voiced.tools.toolbox import Services, Toolbox, ToolContext

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTEXT = ToolContext(session_id="sess_1")
NOW = datetime(2026, 11, 20, 14, 5, tzinfo=UTC)


class Bell:
    """A tool that does what it is told, also badly."""

    name = "bell"
    description = "Rings."
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "how": {"type": "string", "enum": ["well", "badly", "slowly", "oddly", "sorry"]},
            "times": {"type": "integer", "minimum": 1, "maximum": 3},
            "volume": {"type": "number"},
        },
        "required": ["how"],
        "additionalProperties": False,
    }
    deadline_s = 600.0

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        if arguments["how"] == "badly":
            raise RuntimeError("the rope broke in /home/secret")
        if arguments["how"] == "sorry":
            raise ToolError("the tower is locked")
        if arguments["how"] == "slowly":
            await trio.sleep_forever()
        if arguments["how"] == "oddly":
            return {"ok": True, "rope": object()}
        return {"ok": True, "session": context.session_id, **arguments}


async def call(tool: Any, arguments: str, name: str = "") -> dict[str, Any]:  # noqa: ANN401 - any tool
    result = json.loads(await Toolbox([tool]).call(name or tool.name, arguments, CONTEXT))
    assert isinstance(result, dict)
    return result


async def test_a_tool_is_called_with_its_arguments() -> None:
    result = await call(Bell(), '{"how": "well", "times": 2, "volume": 0.5}')
    assert result == {"ok": True, "session": "sess_1", "how": "well", "times": 2, "volume": 0.5}


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("", "'how' is missing"),
        ("{}", "'how' is missing"),
        ("[]", "not a JSON object"),
        ("{", "not valid JSON"),
        ('{"how": "well"} x', "not valid JSON"),
        ('{"how": "loudly"}', "must be one of: well"),
        ('{"how": 1}', "must be of type string"),
        ('{"how": "well", "times": 4}', "from 1 to 3"),
        ('{"how": "well", "times": 1.5}', "type integer"),
        ('{"how": "well", "times": true}', "type integer"),
        ('{"how": "well", "volume": "1"}', "type number"),
        ('{"how": "well", "when": 1}', "there is no argument 'when'"),
        ("[" * 10_000, "not valid JSON"),
        ('{"how": "' + "x" * 20_000 + '"}', "too long"),
        ('{"how": "\ud800"}', "not valid JSON"),
    ],
)
async def test_bad_arguments_are_explained_to_the_model(arguments: str, fault: str) -> None:
    result = await call(Bell(), arguments)
    assert (result["ok"], result["error"]) == (False, "bad_arguments")
    assert fault in result["message"]


@pytest.mark.parametrize(
    ("how", "error"),
    [("badly", "failed"), ("sorry", "failed"), ("slowly", "timeout"), ("oddly", "failed")],
)
async def test_a_tool_that_fails_is_a_result(how: str, error: str) -> None:
    tool = Bell()
    if how == "slowly":
        tool.deadline_s = 0.01
    result = await call(tool, json.dumps({"how": how}))
    assert (result["ok"], result["error"]) == (False, error)
    assert "secret" not in json.dumps(result)
    assert ("tower is locked" in result["message"]) is (how == "sorry")


async def test_an_unknown_tool_is_a_result() -> None:
    assert (await call(Bell(), "{}", name="drum"))["error"] == "unknown_tool"


async def test_it_is_known_what_became_of_the_calls_of_a_tool() -> None:
    tool = Bell()
    tool.deadline_s = 0.01
    toolbox = Toolbox([tool], {"bell": "2.1"})
    for how in ("well", "well", "badly", "slowly", "loudly"):
        await toolbox.call("bell", json.dumps({"how": how}), CONTEXT)
    await toolbox.call("drum", "{}", CONTEXT)
    (use,) = toolbox.uses
    assert (use.tool.name, use.version, use.calls) == ("bell", "2.1", 0)
    assert [(stage, series.count) for stage, _, series in use.record.timings.read()] == [
        ("whole", 2)
    ]
    assert use.record.failures == {"failed": 1, "timeout": 1, "bad_arguments": 1}
    assert [warning.code for warning in use.record.warnings] == ["failed", "timeout"]


async def test_cancelling_the_response_cancels_its_tool() -> None:
    tool = Bell()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Toolbox([tool]).call, "bell", '{"how": "slowly"}', CONTEXT)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel(reason="the response was cancelled")
    assert scope.cancelled_caught


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="two tools are named 'bell'"):
        Toolbox([Bell(), Bell()])


def test_a_schema_that_would_not_be_checked_is_refused() -> None:
    tool = Bell()
    tool.parameters = {"type": "object", "properties": {"x": {"type": "array"}}}
    with pytest.raises(SettingsError, match="'x' has a schema that is not checked"):
        Toolbox([tool])


async def test_the_installed_tools_are_found(tmp_path: Path) -> None:
    toolbox = Toolbox.discover(
        timers=Timers(tmp_path, phrase=load_announcements({}).phrase), now=lambda: NOW
    )
    assert {"get_time", "get_date", "set_timer", "calculate", "set_light"} <= set(toolbox.names)
    time = json.loads(await toolbox.call("get_time", "", CONTEXT))
    assert (time["time"], time["timezone"]) == ("14:05", "UTC")
    date = json.loads(await toolbox.call("get_date", "{}", CONTEXT))
    assert (date["date"], date["weekday"]) == ("2026-11-20", 5)
    for arguments, value in (("7 * 8", 56), ("2 / 3", 0.6666666667)):
        answer = await toolbox.call("calculate", json.dumps({"expression": arguments}), CONTEXT)
        assert json.loads(answer)["value"] == value


class Lamps:
    """A home with one lamp, as far as the tool can see."""

    def __init__(self, *, connected: bool = True) -> None:
        self.connected = connected
        self.done: list[tuple[str, str, bool, int | None]] = []

    async def set_light(self, *, device: str, room: str, on: bool, brightness: int | None) -> None:
        if device not in ("", "lamp"):
            raise UnknownDeviceError(device)
        self.done.append((device, room, on, brightness))


@pytest.mark.parametrize(
    ("arguments", "done"),
    [
        ({"device": "lamp", "state": "on"}, ("lamp", "", True, None)),
        ({"room": "kitchen", "state": "off"}, ("", "kitchen", False, None)),
        ({"all": True, "brightness": 30}, ("", "", True, 30)),
        ({"device": "lamp", "brightness": 0}, ("lamp", "", False, 0)),
    ],
)
async def test_a_light_is_switched(
    arguments: dict[str, Any], done: tuple[str, str, bool, int | None], tmp_path: Path
) -> None:
    home = Lamps()
    tool = SetLight(
        Services(
            timers=Timers(tmp_path, phrase=load_announcements({}).phrase),
            home=home,
            now=lambda: NOW,
        )
    )
    assert (await call(tool, json.dumps(arguments)))["ok"]
    assert home.done == [done]


@pytest.mark.parametrize(
    ("arguments", "error", "connected"),
    [
        ({"device": "lamp", "state": "on"}, "no_home", False),
        ({"device": "toaster", "state": "on"}, "unknown_device", True),
        ({"state": "on"}, "bad_arguments", True),
        ({"device": "lamp"}, "bad_arguments", True),
        ({"device": "lamp", "brightness": 101}, "bad_arguments", True),
    ],
)
async def test_a_light_that_cannot_be_switched_says_why(
    arguments: dict[str, Any], error: str, connected: bool, tmp_path: Path
) -> None:
    home = Lamps(connected=connected)
    tool = SetLight(
        Services(
            timers=Timers(tmp_path, phrase=load_announcements({}).phrase),
            home=home,
            now=lambda: NOW,
        )
    )
    assert (await call(tool, json.dumps(arguments)))["error"] == error
    assert home.done == []
