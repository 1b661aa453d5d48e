"""Looks at every engine, server and tool, for whoever wants to know how they do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, structs

from voiced.audio.pcm import SPEECH_HZ
from voiced.engines.ports import Priority
from voiced.errors import EngineUnavailable
from voiced.telemetry.memory import MemoryReader
from voiced.telemetry.payloads import PluginStatus, Timing
from voiced.web.inspection import CircuitFacts, EngineFacts, StageTiming, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voiced.engines.host import EngineHost
    from voiced.engines.http.provider import Provider
    from voiced.engines.lineup import Lineup
    from voiced.engines.ports import EngineInfo
    from voiced.engines.record import Stage, Timings
    from voiced.telemetry.distribution import Distribution
    from voiced.tools.toolbox import Toolbox
    from voiced.turns.silero import SileroVad

PRIORITY_WORDS: dict[Priority, Literal["conversation", "speculation", "job"]] = {
    Priority.CONVERSATION: "conversation",
    Priority.SPECULATION: "speculation",
    Priority.JOB: "job",
}

REASONS = {
    "starting": "loading its model",
    "restarting": "restarting after a failure",
    "open": "failed repeatedly; the next try comes within 30 seconds",
    "stopped": "stopped",
}
"""Why an engine that is not ready is not, in words for a person."""


class Inspector:
    """Reads the engines of a running daemon; owns nothing but a memory of their memory."""

    def __init__(
        self,
        lineups: Sequence[Lineup],
        vad: SileroVad | None,
        toolbox: Toolbox,
        memory: MemoryReader | None = None,
    ) -> None:
        self._lineups = lineups
        self._vad = vad
        self._toolbox = toolbox
        self._memory = memory or MemoryReader()

    async def look_closely(self) -> list[EngineFacts]:
        """All of them, with their memory as it is now. Cancelling leaves nothing behind."""
        hosts = [host for lineup in self._lineups for host in lineup.hosts]
        await self._memory.refresh([host.pid for host in hosts if host.pid is not None])
        return self.look()

    def look(self) -> list[EngineFacts]:
        """All of them, with their memory as it was when last looked at closely."""
        found: list[EngineFacts] = []
        for lineup in self._lineups:
            if lineup.assistant is not None:
                found.append(self._host_facts(lineup.kind, lineup.assistant, role="fast_path"))
            own = [] if lineup.host is None else [self._host_facts(lineup.kind, lineup.host)]
            servers = [provider_facts(provider) for provider in lineup.providers]
            found += [*own, *servers] if lineup.engine_first else [*servers, *own]
        if self._vad is not None:
            found.append(vad_facts(self._vad))
        found += tool_facts(self._toolbox)
        return told_apart(found)

    def statuses(self) -> list[PluginStatus]:
        """All of them, as observers are told."""
        return [plugin_status(facts) for facts in self.look()]

    def host_status(self, host: EngineHost) -> PluginStatus:
        """One engine, as observers are told."""
        return plugin_status(self._host_facts(host.spec.kind, host))

    def provider_status(self, provider: Provider) -> PluginStatus:
        """One server, as observers are told."""
        return plugin_status(provider_facts(provider))

    def _host_facts(self, kind: str, host: EngineHost, role: str = "engine") -> EngineFacts:
        memory = None if host.pid is None else self._memory.known.get(host.pid)
        about: dict[str, Any] = {}
        with suppress(EngineUnavailable):  # never ready so far: it has declared nothing
            about = described(host.info)
        return EngineFacts(
            id=f"{kind}.{host.spec.name}",
            kind=host.spec.kind,
            name=host.spec.name,
            role="fast_path" if role == "fast_path" else "engine",
            state=host.state,
            reason=UNSET if host.state == "ready" else REASONS[host.state],
            queue=host.queue_depth,
            running=host.running,
            restarts=host.restarts,
            failures=dict(host.failures),
            timings=stages(host.timings),
            warnings=host.warnings,
            circuit=CircuitFacts(
                state=host.circuit,
                failures_in_a_row=host.failures_in_a_row,
                retry_in_s=round(host.starts_in_s, 1),
            ),
            pid=UNSET if host.pid is None else host.pid,
            memory_bytes=UNSET if memory is None else memory,
            **about,
        )


def described(info: EngineInfo) -> dict[str, Any]:
    """What an engine declares, as fields of `EngineFacts`; what does not concern it is left out."""
    return {
        "version": info.version,
        "model": info.model,
        "languages": info.languages,
        "capabilities": info.capabilities,
        "sample_rates": info.sample_rates,
        "voices": len(info.voices) if info.kind == "tts" else UNSET,
        "context_tokens": info.context_tokens or UNSET,
        "concurrency": info.concurrency,
    }


def provider_facts(provider: Provider) -> EngineFacts:
    """A server that is used as an engine."""
    circuit = provider.circuit
    state: State = "ready"
    if provider.trouble:
        state = "failing" if provider.usable else "open"
    return EngineFacts(
        id=f"{provider.kind}.{provider.name}",
        kind=provider.kind,
        name=provider.name,
        role="server",
        state=state,
        reason=provider.trouble or UNSET,
        model=provider.settings.model,
        concurrency=provider.most_running,
        running=provider.running,
        failures=dict(provider.record.failures),
        timings=stages(provider.record.timings),
        warnings=provider.record.warnings,
        circuit=CircuitFacts(
            state=circuit.state,
            failures_in_a_row=circuit.failures_in_a_row,
            retry_in_s=round(circuit.opens_in_s, 1),
        ),
    )


def vad_facts(vad: SileroVad) -> EngineFacts:
    """The detector of speech. A run that fails ends its session, and nothing of it is left here."""
    timings = vad.timings
    return EngineFacts(
        id="vad.silero",
        kind="vad",
        name="silero",
        role="built_in",
        state="ready",
        version=vad.version,
        model=vad.model,
        sample_rates=(SPEECH_HZ,),
        timings=[stage_timing("whole", Priority.CONVERSATION, timings)] if timings.count else [],
    )


def tool_facts(toolbox: Toolbox) -> Iterator[EngineFacts]:
    """The tools."""
    for tool in toolbox.facts():
        yield EngineFacts(
            id=f"tool.{tool.name}",
            kind="tool",
            name=tool.name,
            role="tool",
            state="ready",
            version=tool.version,
            description=tool.description,
            running=tool.calls,
            failures=dict(tool.record.failures),
            timings=stages(tool.record.timings),
            warnings=tool.record.warnings,
        )


def stages(timings: Timings) -> list[StageTiming]:
    """All stages that there were."""
    return [stage_timing(*read) for read in timings.read()]


def stage_timing(stage: Stage, priority: Priority, series: Distribution) -> StageTiming:
    """One of them."""
    read = series.quantiles()
    return StageTiming(
        stage=stage,
        priority=PRIORITY_WORDS[priority],
        p50_ms=round(read.p50_s * 1000, 3),
        p95_ms=round(read.p95_s * 1000, 3),
        max_ms=round(read.max_s * 1000, 3),
        count=read.count,
    )


def told_apart(found: list[EngineFacts]) -> list[EngineFacts]:
    """Two servers of one name get a number behind their ids."""
    seen: dict[str, int] = {}
    result = []
    for facts in found:
        seen[facts.id] = number = seen.get(facts.id, 0) + 1
        result.append(facts if number == 1 else structs.replace(facts, id=f"{facts.id}-{number}"))
    return result


def plugin_status(facts: EngineFacts) -> PluginStatus:
    """The same in short, with the timings of conversations."""
    return PluginStatus(
        kind=facts.kind,
        name=facts.name,
        state=facts.state,
        reason=None if facts.reason is UNSET else facts.reason,
        restarts=facts.restarts,
        queue=facts.queue,
        running=facts.running,
        timings={
            timing.stage: Timing(p50_ms=timing.p50_ms, p95_ms=timing.p95_ms, count=timing.count)
            for timing in facts.timings
            if timing.priority == "conversation"
        },
    )
