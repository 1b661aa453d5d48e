"""What `/health` and `/ready` tell, as structs that the description of the HTTP side reads."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from voiced.thermal.level import HeatState


class LoopLag(Struct, frozen=True, kw_only=True):
    """How late the event loop was lately, in milliseconds."""

    p50: float
    p99: float
    max: float
    samples: int


class Health(Struct, frozen=True, kw_only=True):
    """Liveness and load.

    `heart_age_s` has the seconds since each part's last sign of life, `stale` the parts that have
    shown none for too long; `degraded` is a daemon with such parts. `jobs` counts those of
    `/v1/jobs` by their status.
    """

    status: Literal["ok", "degraded"]
    version: str
    uptime_s: float
    sessions: int
    connections: int
    audio_bytes: int
    tasks: int
    jobs: dict[str, int] = {}
    loop_lag_ms: LoopLag
    heart_age_s: dict[str, float]
    stale: list[str]


class EngineState(Struct, frozen=True, kw_only=True):
    """One engine; `reason` says in words why it is not ready."""

    name: str
    state: str
    reason: str | UnsetType = UNSET
    restarts: int
    queue: int


class ProviderState(Struct, frozen=True, kw_only=True):
    """One server that is used as an engine; `reason` says in words why it does not work.

    `failing` is asked all the same, an `open` one is left alone for a while.
    """

    name: str
    state: Literal["ready", "failing", "open"]
    reason: str | UnsetType = UNSET


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether a conversation can be held now; each engine by its kind, and the servers that are
    used as engines in the order in which they are asked. `degraded` names what does not work,
    also where something else does its work; `heat`, what gives way since the processor is warm."""

    ready: bool
    engines: dict[str, EngineState]
    providers: dict[str, list[ProviderState]] = {}
    degraded: list[str] = []
    heat: HeatState
