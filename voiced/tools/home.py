"""The home that tools act on, and the tool `set_light`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.tools.toolbox import Services, ToolContext


class UnknownDeviceError(LookupError):
    """The home has no such device, or none in that room."""


class Home(Protocol):
    """A connection to the devices of a home."""

    @property
    def connected(self) -> bool:
        """True while devices can be reached."""
        ...

    async def set_light(self, *, device: str, room: str, on: bool, brightness: int | None) -> None:
        """Switch lights: one by name, those of a room, or all where both are empty.

        `brightness` is a percentage, or None to leave it. Raises `UnknownDeviceError` where
        nothing fits, `ToolError` where it could not be done.
        """
        ...


class NoHome:
    """What voiced has until a home is connected."""

    connected = False

    async def set_light(self, *, device: str, room: str, on: bool, brightness: int | None) -> None:
        """Never called, as nothing is connected."""
        raise UnknownDeviceError(device or room)


class SetLight:
    """Switches and dims lights."""

    name = "set_light"
    description = (
        "Switch lights on or off, or set their brightness. Give a device, or a room for all its"
        " lights, or all for every light."
    )
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "device": {"type": "string", "description": "A light by name", "maxLength": 200},
            "room": {"type": "string", "description": "A room by name", "maxLength": 200},
            "all": {"type": "boolean", "description": "Every light of the home"},
            "state": {"type": "string", "enum": ["on", "off"]},
            "brightness": {
                "type": "integer",
                "description": "Percent; 0 is off",
                "minimum": 0,
                "maximum": 100,
            },
        },
        "additionalProperties": False,
    }

    def __init__(self, services: Services) -> None:
        self._home = services.home

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> Mapping[str, Any]:
        """Result: `state` and, where given, `brightness`. Errors: no_home, unknown_device."""
        device, room = arguments.get("device", ""), arguments.get("room", "")
        state, brightness = arguments.get("state"), arguments.get("brightness")
        if not (device or room or arguments.get("all")):
            return _failed("bad_arguments", "give a device, a room, or all")
        if state is None and brightness is None:
            return _failed("bad_arguments", "give a state or a brightness")
        if not self._home.connected:
            return _failed("no_home", "no home is connected")
        on = brightness != 0 if state is None else state == "on"
        try:
            await self._home.set_light(device=device, room=room, on=on, brightness=brightness)
        except UnknownDeviceError:
            return _failed("unknown_device", "the home has no such light")
        done: dict[str, Any] = {"ok": True, "state": "on" if on else "off"}
        return done if brightness is None else {**done, "brightness": brightness}


def _failed(error: str, message: str) -> dict[str, Any]:
    return {"ok": False, "error": error, "message": message}
