"""Which engines there are for one kind of work, in which order they are asked, and how they do."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from voiced.engines.clients import EngineLlm, EngineTts
from voiced.engines.clients_stt import EngineStt
from voiced.engines.failover import (
    FailoverLlm,
    FailoverTts,
    Member,
    Order,
    OwnVoices,
)
from voiced.engines.failover_stt import FailoverStt
from voiced.engines.host import EngineHost
from voiced.engines.http.keys import check_servers
from voiced.engines.ports import Llm, Stt, Tts
from voiced.engines.registry import NO_ENGINE, SERVED_KINDS, configured
from voiced.engines.spec import EngineSpec, HostPolicy
from voiced.engines.understanding import ASSISTANT, UnderstandingLlm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from voiced.engines.http.provider import Provider
    from voiced.engines.registry import ServedKind
    from voiced.settings import Settings
    from voiced.supervision.hearts import Hearts

_EngineT = TypeVar("_EngineT", Llm, Stt, Tts)

ENGINE_SILENT_S = 30.0
"""An engine host that showed no sign of life for this long is stuck: it pings every 2 s, and
beats as well while it waits to restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineup:
    """All that works for one kind: an engine of our own, servers, and for the LLM the assistant
    where it stands in front of another engine."""

    kind: ServedKind
    host: EngineHost | None
    providers: tuple[Provider, ...] = ()
    assistant: EngineHost | None = None
    engine_first: bool = False
    """Whether the engine is asked before the servers."""

    @property
    def hosts(self) -> tuple[EngineHost, ...]:
        """The processes."""
        return tuple(host for host in (self.host, self.assistant) if host is not None)

    @property
    def usable(self) -> bool:
        """Whether anybody would do the work now."""
        ready = self.host is not None and self.host.state == "ready"
        return ready or any(provider.usable for provider in self.providers)

    def troubles(self) -> list[str]:
        """What is not as it should be: of each engine that does not work its name and state."""
        hosts = [f"{self.kind} {h.spec.name} {h.state}" for h in self.hosts if h.state != "ready"]
        servers = (p for p in self.providers if p.trouble)
        return [*hosts, *(f"{self.kind} {p.name}: {p.trouble}" for p in servers)]

    @property
    def names(self) -> list[str]:
        """Of those that are asked, servers first."""
        own = [] if self.host is None else [self.host.spec.name]
        return [*(provider.name for provider in self.providers), *own]


@asynccontextmanager
async def open_lineup(
    settings: Settings, kind: ServedKind, hearts: Hearts
) -> AsyncIterator[Lineup]:
    """The providers of `kind`, watched, and hosts that are not started yet.

    Raises `SettingsError`. Leaving the context ends the requests to providers.
    """
    section = getattr(settings, kind)
    check_servers(settings, kind)
    async with AsyncExitStack() as stack:
        providers: list[Provider] = []
        if section.providers:
            # httpx takes a tenth of a second and some megabytes that others need not spend.
            from voiced.engines.http.provider import open_provider

            for number, provider in enumerate(section.providers, 1):
                where = f"{kind}.providers, number {number}"
                opened = open_provider(kind, provider, where)
                providers.append(await stack.enter_async_context(opened))
        host = assistant = None
        if section.engine != NO_ENGINE:
            host = make_host(settings, kind, section.engine, hearts)
        if kind == "llm" and has_assistant_beside(settings):
            assistant = make_host(settings, kind, ASSISTANT, hearts)
        yield Lineup(
            kind=kind,
            host=host,
            providers=tuple(providers),
            assistant=assistant,
            engine_first=section.engine_first,
        )


def wants_fast_path(settings: Settings) -> bool:
    """Whether the assistant is to stand in front of a language model. An engine that only
    measures is left alone."""
    llm = settings.llm
    is_model = bool(llm.providers) or llm.engine not in (ASSISTANT, "stub")
    return llm.fast_path and is_model


def has_assistant_beside(settings: Settings) -> bool:
    """Whether the assistant has a process beside that of another engine, or of none."""
    return wants_fast_path(settings) and settings.llm.engine != ASSISTANT


def all_specs(settings: Settings) -> list[EngineSpec]:
    """Every engine that the daemon runs in a process. Raises `SettingsError` as `resolve` does."""
    kinds = [kind for kind in SERVED_KINDS if getattr(settings, kind).engine != NO_ENGINE]
    beside = [configured(settings, "llm", ASSISTANT)] if has_assistant_beside(settings) else []
    return [*(configured(settings, kind) for kind in kinds), *beside]


def make_host(settings: Settings, kind: ServedKind, name: str, hearts: Hearts) -> EngineHost:
    """A host of the engine `name`, whose life a heart tells."""
    section = getattr(settings, kind)
    label = f"engine {kind}" if name == section.engine else f"engine {name}"
    heart = hearts.add(label, ENGINE_SILENT_S)
    policy = HostPolicy(grace_s=section.grace_s)
    return EngineHost(configured(settings, kind, name), policy, on_alive=heart.beat)


def make_llm(settings: Settings, lineup: Lineup) -> Llm:
    """The LLM of a lineup: the assistant for what it is quick at, then the engine and the servers
    in order, then the assistant for whatever it understands."""
    own = None if lineup.host is None else EngineLlm(lineup.host)
    is_assistant = lineup.host is not None and lineup.host.spec.name == ASSISTANT
    assistant_host = lineup.host if is_assistant else lineup.assistant
    if own is not None and not lineup.providers and (is_assistant or assistant_host is None):
        return own
    servers = server_members(settings, lineup)
    engine: list[Member[Llm]] = []
    # Behind a model, the assistant must not say of what it does not understand that it does not:
    # as if the words had been at fault.
    if own is not None and lineup.host and (settings.llm.engine_first or not is_assistant):
        engine.append(Member(lineup.host.spec.name, own, works(lineup.host)))
    members = [*engine, *servers] if settings.llm.engine_first else [*servers, *engine]
    if assistant_host is not None:
        assistant = EngineLlm(assistant_host)
        last = UnderstandingLlm(assistant, "understood")
        members.append(Member(ASSISTANT, last, works(assistant_host), stands_in=True))
        if wants_fast_path(settings):
            first = UnderstandingLlm(assistant, "tools")
            members.insert(0, Member(ASSISTANT, first, works(assistant_host), stands_in=True))
    return FailoverLlm(Order("llm", members))


def make_stt(settings: Settings, lineup: Lineup) -> Stt:
    """The recogniser of a lineup: the engine and the servers, in order."""
    own = None if lineup.host is None else EngineStt(lineup.host)
    if own is not None and not lineup.providers:
        return own
    from voiced.engines.http.transcriptions import HttpStt

    servers: list[Member[Stt]] = [member(p, HttpStt(p)) for p in lineup.providers]
    engine: list[Member[Stt]] = []
    if own is not None and lineup.host is not None:
        engine.append(Member(lineup.host.spec.name, own, works(lineup.host)))
    first = settings.stt.engine_first
    return FailoverStt(Order("stt", [*engine, *servers] if first else [*servers, *engine]))


def make_tts(settings: Settings, lineup: Lineup) -> Tts:
    """The voice of a lineup: the engine and the servers, in order."""
    own = None if lineup.host is None else EngineTts(lineup.host)
    if own is not None and not lineup.providers:
        return own
    from voiced.engines.http.speech import HttpTts

    tts = settings.tts
    servers: list[Member[Tts]] = [
        member(provider, HttpTts(provider, its, own_voice=tts.voice))
        for provider, its in zip(lineup.providers, tts.providers, strict=True)
    ]
    engine: list[Member[Tts]] = []
    if own is not None and lineup.host is not None:
        engine.append(Member(lineup.host.spec.name, OwnVoices(own, tts), works(lineup.host)))
    first = tts.engine_first
    return FailoverTts(Order("tts", [*engine, *servers] if first else [*servers, *engine]))


def member(provider: Provider, engine: _EngineT) -> Member[_EngineT]:
    """A server among others."""
    return Member(provider.name, engine, lambda: provider.trusted)


def works(host: EngineHost) -> Callable[[], bool]:
    """Whether a process is ready."""
    return lambda: host.state == "ready"


def server_members(settings: Settings, lineup: Lineup) -> list[Member[Llm]]:
    """The servers that answer, in order."""
    if not lineup.providers:
        return []
    from voiced.engines.http.chat import HttpLlm

    return [
        member(provider, HttpLlm(provider, its))
        for provider, its in zip(lineup.providers, settings.llm.providers, strict=True)
    ]
