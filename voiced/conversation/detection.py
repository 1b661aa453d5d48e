"""Turn detection as a session configures it: by silence, by what was said, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Eagerness = Literal["low", "medium", "high", "auto"]
"""How soon a turn may be taken that does not sound complete; "auto" is "medium"."""

IdleMs = Annotated[int, Meta(ge=5000, le=30_000)]


class ServerVad(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag="server_vad",
):
    """Turn detection by silence. Defaults come from the daemon's settings."""

    threshold: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=5000)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=50, le=10_000)] = 200
    idle_timeout_ms: IdleMs | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    tag_field="type",
    tag="semantic_vad",
):
    """Turn detection by what was said: a complete sentence ends the turn, a trailing "and"
    waits for more. Defaults come from the daemon's settings."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad


class Detections(Struct, frozen=True, kw_only=True):
    """The daemon's own turn detections: what a session begins with, and what a client's update
    starts from when it changes the type. `first` is that of a session nobody configured."""

    server: ServerVad = ServerVad()
    semantic: SemanticVad = SemanticVad()
    first: Literal["server_vad", "semantic_vad"] = "server_vad"

    @classmethod
    def around(cls, detection: TurnDetection | None) -> Detections:
        """Those of a daemon whose sessions begin with that one."""
        if isinstance(detection, ServerVad):
            return cls(server=detection)
        if isinstance(detection, SemanticVad):
            return cls(semantic=detection, first="semantic_vad")
        return cls()

    @property
    def default(self) -> TurnDetection:
        """The turn detection of a new session."""
        return self.server if self.first == "server_vad" else self.semantic

    def base(self, kind: object) -> dict[str, Any]:
        """The daemon's own of that type as JSON, to be updated; {} for a type there is not."""
        for own in (self.server, self.semantic):
            if own.__struct_config__.tag == kind:
                built: dict[str, Any] = msgspec.to_builtins(own)
                return built
        return {}


def turned_to(patch: Mapping[str, Any]) -> str | None:
    """The type of turn detection that a `session.update` asks for, where it names one."""
    found: Any = patch
    for key in ("audio", "input", "turn_detection"):
        found = found.get(key) if isinstance(found, Mapping) else None
    kind = found.get("type") if isinstance(found, Mapping) else None
    return kind if isinstance(kind, str) else None
