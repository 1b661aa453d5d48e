"""What `/v1/engines` tells of each engine, server and tool, as structs."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from voiced.engines.record import EngineWarning, Stage

State = Literal["stopped", "starting", "ready", "failing", "restarting", "open"]
"""`failing`: it is asked all the same, though the last request failed. `restarting`: also while it
waits to. `open`: left alone for a while, after repeated failures."""


class StageTiming(Struct, frozen=True, kw_only=True):
    """How long one stage of the requests takes: of the last 256 by nearest rank, in milliseconds,
    and how many there were since the daemon began. `priority` is what they were served at."""

    stage: Stage
    priority: Literal["conversation", "speculation", "job"]
    p50_ms: float
    p95_ms: float
    max_ms: float
    count: int


class CircuitFacts(Struct, frozen=True, kw_only=True):
    """Whether requests pass. An `open` circuit lets one pass, as a `trial`, in `retry_in_s`."""

    state: Literal["closed", "failing", "open", "trial"]
    failures_in_a_row: int
    retry_in_s: float


class EngineFacts(Struct, frozen=True, kw_only=True):
    """An engine, a server that is used as one, or a tool.

    `role` is what it is here: an `engine` in a process of its own; the `fast_path`, an assistant
    in front of a language model; a `server` that is asked over HTTP; `built_in`, in the daemon's
    own process; a `tool` that a model may call. `reason` says in words why it is not ready.
    `queue` requests wait, `queue_limit` of them at most; `running` ones are worked on,
    `concurrency` of them at once. `failures` counts requests that failed by the code of their
    error, `warnings` are the last twenty. `memory_bytes` is its process' share of the memory
    (PSS), up to ten seconds old.
    """

    id: str = ""
    kind: Literal["stt", "llm", "tts", "vad", "tool"]
    name: str
    role: Literal["engine", "fast_path", "server", "built_in", "tool"]
    state: State
    reason: str | UnsetType = UNSET
    version: str = ""
    model: str = ""
    description: str | UnsetType = UNSET
    languages: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    sample_rates: tuple[int, ...] = ()
    voices: int | UnsetType = UNSET
    context_tokens: int | UnsetType = UNSET
    concurrency: int | UnsetType = UNSET
    queue: int = 0
    queue_limit: int | UnsetType = UNSET
    running: int = 0
    restarts: int = 0
    failures: dict[str, int] = {}
    timings: list[StageTiming] = []
    warnings: tuple[EngineWarning, ...] = ()
    circuit: CircuitFacts | UnsetType = UNSET
    pid: int | UnsetType = UNSET
    memory_bytes: int | UnsetType = UNSET


class EngineList(Struct, frozen=True, kw_only=True):
    """All of them: by kind in the order in which they are asked, then the tools."""

    object: Literal["list"] = "list"
    data: list[EngineFacts]
