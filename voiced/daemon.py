"""The daemon: one nursery tree that owns every task and process. Read this page first.

Parts open in order with nested `async with` and close in reverse. Each `open_*` below is one
branch: it starts its services, yields what the later ones need, and on the way out ends all of
its tasks before the branch above it loses anything.

    heat ─ engines ─ store ─ tools ─ sessions and audio ─ jobs ─ front door ─ systemd

Leaving a scope means that the work is gone, processes included. `service.py` opens all this, tells
systemd, and closes it again on a signal.
"""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import msgspec
import trio

from voiced.assistant.announcements import announcements_of
from voiced.engines.budget import check_budget
from voiced.engines.heat import follow_heat
from voiced.engines.lineup import Lineup, make_llm, make_stt, make_tts, open_lineup
from voiced.engines.ports import Llm, Stt, Tts
from voiced.engines.tts.voices import Voices
from voiced.inspector import Inspector
from voiced.jobs.kinds import make_kinds
from voiced.jobs.service import open_jobs
from voiced.readings import open_metrics
from voiced.realtime.connection import serve_connection
from voiced.realtime.first_reading import open_first_reading
from voiced.realtime.hub import SessionHub
from voiced.realtime.item_audio import AudioBudget
from voiced.realtime.observing import serve_observer
from voiced.realtime.parts import SessionParts
from voiced.realtime.reply import Speaker
from voiced.realtime.secrets import ClientSecrets
from voiced.settings import Settings
from voiced.settings_loader import state_directory
from voiced.status import Status, report_status
from voiced.store.database import open_database
from voiced.store.directory import hold_directory
from voiced.store.history import History
from voiced.supervision.hearts import Hearts
from voiced.supervision.lag import LagMeter
from voiced.systemd.watchdog import Watchdog, watchdog_s
from voiced.telemetry.insights import Insights
from voiced.telling import serve_figures, tell_of_engines, tell_of_heat
from voiced.thermal.heat import Heat
from voiced.thermal.supervisor import open_thermal
from voiced.tools.timers import Timers
from voiced.tools.toolbox import Toolbox
from voiced.turns.silero import SileroVad
from voiced.web.app import build_app
from voiced.web.auth import require_token
from voiced.web.door import Door, open_door
from voiced.web.ports import Ports, open_ports
from voiced.web.refusal import tell_of_refusal
from voiced.web.request_shape import is_observer
from voiced.web.services import Services
from voiced.web.spool import SPOOL_DIRECTORY, Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from voiced.engines.host import EngineHost
    from voiced.systemd.notify import Notifier
    from voiced.web.websocket import DoorSocket, Upgrade


class Engines(msgspec.Struct, frozen=True):
    """The running engines: lineups for supervision, ports for use."""

    lineups: tuple[Lineup, ...]
    vad: SileroVad
    stt: Stt
    llm: Llm
    tts: Tts

    @property
    def llm_host(self) -> EngineHost | None:
        """The process of the language model; None where servers answer."""
        return next(lineup.host for lineup in self.lineups if lineup.kind == "llm")


class App(msgspec.Struct, frozen=True):
    """Everything that a running daemon consists of. `start_reading` is set once it is known to be
    ready: see `open_first_reading`."""

    settings: Settings
    engines: Engines
    hub: SessionHub
    heat: Heat
    insights: Insights
    door: Door
    status: Status
    ports: Ports
    start_reading: trio.Event


@asynccontextmanager
async def open_app(settings: Settings, notifier: Notifier) -> AsyncIterator[App]:
    """Open every part in order and yield when the daemon can hold a conversation.

    Raises `VoicedError`, alone or in an exception group, where it cannot start; nothing is
    left running then. Leaving the block drains: clients get 1001, engines end last.
    """
    require_token(settings, (settings.server.host,))
    state = state_directory(settings.store)
    with hold_directory(state):
        async with open_parts(settings, state, notifier) as app:
            yield app


@asynccontextmanager
async def open_parts(settings: Settings, state: Path, notifier: Notifier) -> AsyncIterator[App]:
    """Every part of the tree, on a state directory that is this daemon's own. See `open_app`."""
    Spool(state / SPOOL_DIRECTORY).sweep()
    hearts = Hearts()
    lag = LagMeter()
    insights = Insights(transcripts=settings.insights.transcripts)
    history = History(settings.session.history_items)
    async with (
        open_ports(settings) as ports,
        open_thermal(settings.thermal, hearts) as heat,
        open_engines(settings, hearts, heat) as engines,
        open_database(state) as database,
        open_tools(settings, state) as (toolbox, timers),
        open_sessions(settings, engines, toolbox, timers, history, insights, hearts, heat) as hub,
        open_jobs(
            settings.jobs,
            state,
            database,
            make_kinds(settings, engines.stt, engines.llm, engines.tts, history),
            heat,
            insights,
        ) as jobs,
    ):
        timers.announce = hub.announce
        status = Status(settings, engines.lineups, hub, lag, hearts, heat)
        status.jobs = jobs
        inspector = Inspector(engines.lineups, engines.vad, toolbox)
        tell_of_engines(insights, inspector, engines.lineups)
        tell_of_heat(insights, heat)
        insights.add_source(hub.reports)
        insights.add_source(lambda: [status.metadata(insights, jobs.ledger.counts.items())])
        client_secrets = ClientSecrets(
            trio.current_time,
            most=settings.limits.client_secrets,
            most_bytes=settings.limits.client_secrets_bytes,
        )
        services = Services(
            settings=settings,
            stt=engines.stt,
            llm=engines.llm,
            tts=engines.tts,
            toolbox=toolbox,
            client_secrets=client_secrets,
            jobs=jobs,
            tally=hub.tally,
            insights=insights,
            inspector=inspector,
            metrics=open_metrics(
                inspector=inspector,
                status=status,
                hub=hub,
                insights=insights,
                warmth=heat,
                desk=jobs,
                lag=lag,
                hearts=hearts,
                settings=settings,
                state=state,
            ),
            began=int(time.time()),
        )
        async with (
            open_web(settings, ports, hub, insights, status, services, hearts) as door,
            open_supervision(notifier, hearts, lag, status),
            open_watching(insights, inspector),
            open_first_reading(
                settings, engines.llm, engines.llm_host, toolbox, heat
            ) as start_reading,
        ):
            yield App(settings, engines, hub, heat, insights, door, status, ports, start_reading)


@asynccontextmanager
async def open_engines(settings: Settings, hearts: Hearts, heat: Heat) -> AsyncIterator[Engines]:
    """Start every engine process, together, and yield when all are warm. Servers that are used as
    engines are looked at beside that, and waited for by nobody.

    Raises `ModelError` where the engines together need more memory than is free.
    """
    vad = SileroVad.load()
    async with (
        open_lineup(settings, "stt", hearts) as stt,
        open_lineup(settings, "llm", hearts) as llm,
        open_lineup(settings, "tts", hearts) as tts,
        trio.open_nursery() as nursery,
    ):
        lineups = (stt, llm, tts)
        hosts = tuple(chain.from_iterable(lineup.hosts for lineup in lineups))
        follow_heat(heat, hosts)
        await check_budget([host.spec for host in hosts])
        async with trio.open_nursery() as starting:
            for host in hosts:
                starting.start_soon(nursery.start, host.serve)
        yield Engines(
            lineups=lineups,
            vad=vad,
            stt=make_stt(settings, stt),
            llm=make_llm(settings, llm),
            tts=make_tts(settings, tts),
        )
        nursery.cancel_scope.cancel(reason="the daemon stops")


@asynccontextmanager
async def open_tools(settings: Settings, state: Path) -> AsyncIterator[tuple[Toolbox, Timers]]:
    """The assistant's tools, and the timer that runs behind one of them."""
    announcements = announcements_of(settings)
    timers = Timers(state, phrase=announcements.phrase)
    async with trio.open_nursery() as nursery:
        await nursery.start(timers.serve)
        yield Toolbox.discover(timers=timers), timers
        nursery.cancel_scope.cancel(reason="the daemon stops")


@asynccontextmanager
async def open_sessions(
    settings: Settings,
    engines: Engines,
    toolbox: Toolbox,
    timers: Timers,
    history: History,
    insights: Insights,
    hearts: Hearts,
    heat: Heat,
) -> AsyncIterator[SessionHub]:
    """Two nurseries: audio pipelines, and inside them the sessions they serve."""
    speaker = Speaker(
        llm=engines.llm,
        tts=engines.tts,
        toolbox=toolbox,
        voices=Voices(settings.tts, engines.tts),
        lead_ms=settings.session.audio_lead_ms,
        heat=heat,
        hot_tokens=settings.thermal.reply_tokens,
        apology=announcements_of(settings).phrase("no_answer", {}),
    )
    parts = SessionParts(
        settings=settings,
        vad=engines.vad,
        stt=engines.stt,
        speaker=speaker,
        history=history,
        item_audio=AudioBudget(int(settings.limits.item_audio_mb * 2**20)),
        take_missed=timers.take_missed,
        insights=insights,
        heat=heat,
    )
    hub = SessionHub(parts, hearts)
    async with trio.open_nursery() as audio, trio.open_nursery() as sessions:
        await audio.start(hub.serve_audio)
        await sessions.start(hub.serve_sessions)
        yield hub
        sessions.cancel_scope.cancel(reason="the daemon stops")
        audio.cancel_scope.cancel(reason="the daemon stops")


@asynccontextmanager
async def open_web(
    settings: Settings,
    ports: Ports,
    hub: SessionHub,
    insights: Insights,
    status: Status,
    services: Services,
    hearts: Hearts,
) -> AsyncIterator[Door]:
    """The front door. Leaving it closes every connection with 1001 under a deadline."""

    async def serve(websocket: DoorSocket, upgrade: Upgrade) -> None:
        if is_observer(upgrade.query):
            await serve_observer(websocket, upgrade, insights=insights, settings=settings)
            return
        await serve_connection(
            websocket,
            upgrade,
            hub=hub,
            limits=settings.limits,
            idle_s=settings.session.idle_s,
            ping_s=settings.session.ping_s,
        )

    async with open_door(
        ports.plain,
        settings,
        app=build_app(status, services),
        handler=serve,
        hearts=hearts,
        secure=ports.secure,
        certificate=ports.certificate,
        client_secrets=services.client_secrets,
        on_refusal=partial(tell_of_refusal, insights),
    ) as door:
        status.door = door
        yield door
        hub.say_goodbye()
        insights.say_goodbye()


@asynccontextmanager
async def open_watching(insights: Insights, inspector: Inspector) -> AsyncIterator[None]:
    """What those who watch are told that no part tells by itself."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_figures, insights, inspector)
        yield
        nursery.cancel_scope.cancel(reason="the daemon stops")


@asynccontextmanager
async def open_supervision(
    notifier: Notifier, hearts: Hearts, lag: LagMeter, status: Status
) -> AsyncIterator[None]:
    """What watches the rest: loop lag, the watchdog, the status line."""
    watchdog = Watchdog(notifier, hearts, watchdog_s())
    async with trio.open_nursery() as nursery:
        await nursery.start(lag.serve)
        await nursery.start(watchdog.serve)
        nursery.start_soon(report_status, notifier, status)
        yield
        nursery.cancel_scope.cancel(reason="the daemon stops")
