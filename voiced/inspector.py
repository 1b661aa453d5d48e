"""Looks at every engine, server and tool, for whoever wants to know how they do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET, Struct, structs

from voiced.audio.pcm import SPEECH_HZ
from voiced.engines.host import EngineHost
from voiced.engines.ports import Priority
from voiced.engines.record import Timings
from voiced.errors import EngineUnavailable
from voiced.telemetry.memory import FRESH_S, MemoryReader
from voiced.telemetry.payloads import PluginStatus, Timing
from voiced.web.inspection import CircuitFacts, EngineFacts, StageTiming, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from voiced.engines.http.provider import Provider
    from voiced.engines.lineup import Lineup
    from voiced.engines.ports import EngineInfo
    from voiced.engines.record import Stage
    from voiced.telemetry.distribution import Distribution
    from voiced.tools.toolbox import Toolbox, ToolUse
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


class Subject(Struct, frozen=True):
    """One that is looked at."""

    id: str
    look: Callable[[], EngineFacts]
    timings: Timings | None = None
    host: EngineHost | None = None


class Inspector:
    """Reads the engines of a running daemon; owns nothing but a memory of their memory."""

    def __init__(
        self,
        lineups: Sequence[Lineup],
        vad: SileroVad | None,
        toolbox: Toolbox,
        memory: MemoryReader | None = None,
    ) -> None:
        self.vad = vad
        self._memory = memory or MemoryReader()
        subjects = [subject for lineup in lineups for subject in self._of_lineup(lineup)]
        if vad is not None:
            subjects.append(Subject("vad.silero", partial(vad_facts, vad)))
        subjects += map(tool_subject, toolbox.uses)
        self._subjects = told_apart(subjects)

    async def look_closely(self) -> list[EngineFacts]:
        """All of them, with their memory as it is now. Cancelling leaves nothing behind."""
        await self.weigh()
        return self.look()

    async def weigh(self, fresh_s: float = FRESH_S) -> None:
        """See what they take of the memory, unless that was done less than `fresh_s` ago."""
        await self._memory.refresh(list(self._pids().values()), fresh_s)

    def look(self) -> list[EngineFacts]:
        """All of them, with their memory as it was when last weighed."""
        return [structs.replace(subject.look(), id=subject.id) for subject in self._subjects]

    def statuses(self) -> list[PluginStatus]:
        """All of them, as observers are told."""
        return [plugin_status(facts) for facts in self.look()]

    def host_status(self, host: EngineHost) -> PluginStatus:
        """One engine, as observers are told."""
        return plugin_status(self._host_facts(host, "engine"))

    def provider_status(self, provider: Provider) -> PluginStatus:
        """One server, as observers are told."""
        return plugin_status(provider_facts(provider))

    def memory(self) -> dict[str, int]:
        """What the daemon and each engine's process took of the memory when last weighed, in bytes
        of PSS, by `daemon` and id."""
        known = self._memory.known
        return {part: known[pid] for part, pid in self._pids().items() if pid in known}

    def failures(self, code: str) -> int:
        """Requests to processes that failed with this code."""
        hosts = (subject.host for subject in self._subjects)
        return sum(host.failures.get(code, 0) for host in hosts if host is not None)

    def timings(self) -> Iterator[tuple[str, Timings]]:
        """What the requests of each took so far, by id; of the detector of speech see `vad`."""
        for subject in self._subjects:
            if subject.timings is not None:
                yield subject.id, subject.timings

    def _pids(self) -> dict[str, int]:
        pids = {"daemon": os.getpid()}
        for subject in self._subjects:
            if subject.host is not None and subject.host.pid is not None:
                pids[subject.id] = subject.host.pid
        return pids

    def _of_lineup(self, lineup: Lineup) -> Iterator[Subject]:
        """In the order in which they are asked."""
        if lineup.assistant is not None:
            yield self._of_host(lineup.assistant, "fast_path")
        own = [] if lineup.host is None else [self._of_host(lineup.host, "engine")]
        if lineup.engine_first:
            yield from own
        for provider in lineup.providers:
            name = f"{provider.kind}.{provider.name}"
            yield Subject(name, partial(provider_facts, provider), provider.record.timings)
        if not lineup.engine_first:
            yield from own

    def _of_host(self, host: EngineHost, role: Literal["engine", "fast_path"]) -> Subject:
        name = f"{host.spec.kind}.{host.spec.name}"
        return Subject(name, partial(self._host_facts, host, role), host.timings, host)

    def _host_facts(self, host: EngineHost, role: Literal["engine", "fast_path"]) -> EngineFacts:
        memory = None if host.pid is None else self._memory.known.get(host.pid)
        about: dict[str, Any] = {}
        with suppress(EngineUnavailable):  # never ready so far: it has declared nothing
            about = described(host.info)
        return EngineFacts(
            kind=host.spec.kind,
            name=host.spec.name,
            role=role,
            state=host.state,
            reason=UNSET if host.state == "ready" else REASONS[host.state],
            queue=host.queue_depth,
            queue_limit=host.queue_limit,
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
        kind="vad",
        name="silero",
        role="built_in",
        state="ready",
        version=vad.version,
        model=vad.model,
        sample_rates=(SPEECH_HZ,),
        timings=[stage_timing("whole", Priority.CONVERSATION, timings)] if timings.count else [],
    )


def tool_subject(use: ToolUse) -> Subject:
    """A tool."""
    return Subject(f"tool.{use.tool.name}", partial(tool_facts, use), use.record.timings)


def tool_facts(use: ToolUse) -> EngineFacts:
    """A tool, and how it did."""
    return EngineFacts(
        kind="tool",
        name=use.tool.name,
        role="tool",
        state="ready",
        version=use.version,
        description=use.tool.description,
        running=use.calls,
        failures=dict(use.record.failures),
        timings=stages(use.record.timings),
        warnings=use.record.warnings,
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


def told_apart(subjects: list[Subject]) -> tuple[Subject, ...]:
    """Two servers of one name get a number behind their ids."""
    seen: Counter[str] = Counter()
    result = []
    for subject in subjects:
        seen[subject.id] += 1
        number = seen[subject.id]
        again = structs.replace(subject, id=f"{subject.id}-{number}")
        result.append(subject if number == 1 else again)
    return tuple(result)


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
