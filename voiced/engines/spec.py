"""Which engine a host runs, and the bounds that it keeps it within."""

from __future__ import annotations

from typing import Any

import msgspec

from voiced.engines.ports import Kind

NICE: dict[str, int] = {"vad": 0, "tts": 1, "stt": 2, "llm": 10}
"""Nice levels by kind: what somebody hears at once goes before what they wait for. A language model
that writes on took much of the processor from the clause that is to be heard first: on two cores
that came after 187 ms with a difference of three levels, and after 126 to 157 with nine (alone:
100)."""

LABELS: dict[str, str] = {
    "stt": "speech recognition",
    "llm": "the assistant",
    "tts": "speech synthesis",
    "vad": "voice activity detection",
}
"""What a client is told an engine is."""

MAX_AUDIO_S = 310.0
"""Audio kept for one request: ten megabytes. It has room for the longest `limits.input_audio_s`
that may be set, 300 s, and for the padding in front of a turn, 5 s at most."""


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which engine to run: `target` is its class as `module:Class`, loaded in the child."""

    kind: Kind
    name: str
    target: str
    options: dict[str, Any] = {}
    threads: int = 2


class HostPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds and deadlines of a host."""

    queue_size: int = 64
    load_s: float = 120.0
    """From the start of the process to its warm engine."""
    ping_s: float = 2.0
    """Silence of the child after which it is asked whether it lives."""
    pong_s: float = 5.0
    """Time to answer that."""
    grace_s: float = 2.0
    """Time to acknowledge a cancel."""
    stall_s: float = 120.0
    """Time that a running request may pass without a word from the engine, once its audio is
    whole; jobs are exempt. An engine that reads a long prompt on a slow machine says that it goes
    on."""
    silent_s: float = 1200.0
    """Time that it may go on so with nothing to show: 8,000 tokens, read at 7 a second."""
    unfed_s: float = 5.0
    """Time without audio after which a speculative run gives up its slot; found within `ping_s`.
    Longer than a pause of the network, shorter than a microphone that was muted."""
    restart_wait_s: float = 5.0
    """How long conversation waits for an engine that restarts."""
    backoff_first_s: float = 0.5
    backoff_max_s: float = 30.0
    failures: int = 5
    open_s: float = 30.0
    stop_s: float = 0.5
    """From the order to stop to SIGKILL."""
