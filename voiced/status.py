"""What the daemon says of itself: to `/health`, `/ready`, and systemd's status line."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Literal

import trio
from msgspec import UNSET

from voiced import __version__
from voiced.client.address import REALTIME_PATH, bracketed
from voiced.inspector import REASONS
from voiced.telemetry.insights import Metadata
from voiced.thermal.level import Level
from voiced.thermal.words import state_of
from voiced.web.facts import EngineState, Health, LoopLag, ProviderState, Readiness

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voiced.engines.host import EngineHost
    from voiced.engines.http.provider import Provider
    from voiced.engines.lineup import Lineup
    from voiced.jobs.desk import Desk
    from voiced.realtime.hub import SessionHub
    from voiced.settings import Settings
    from voiced.supervision.hearts import Hearts
    from voiced.supervision.lag import LagMeter
    from voiced.systemd.notify import Notifier
    from voiced.telemetry.insights import Insights
    from voiced.thermal.heat import Heat
    from voiced.web.door import Door

REPORT_S = 5.0


class Status:
    """Reads the parts of a running daemon; owns nothing, keeps nothing."""

    def __init__(
        self,
        settings: Settings,
        lineups: Sequence[Lineup],
        hub: SessionHub,
        lag: LagMeter,
        hearts: Hearts,
        heat: Heat,
    ) -> None:
        self._settings = settings
        self._lineups = lineups
        self._hub = hub
        self._lag = lag
        self._hearts = hearts
        self._heat = heat
        self._began = trio.current_time()
        self.door: Door | None = None
        self.jobs: Desk | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._settings

    def urls(self) -> list[str]:
        """Where clients connect."""
        if self.door is None:
            return []
        places = [("ws", *address) for address in self.door.addresses]
        places += [("wss", *address) for address in self.door.secure_addresses]
        return [
            f"{scheme}://{bracketed(host)}:{port}{REALTIME_PATH}" for scheme, host, port in places
        ]

    def health(self) -> Health:
        """Liveness and load."""
        lag = self._lag.read()
        stale = self._hearts.stale()
        return Health(
            status="degraded" if stale else "ok",
            version=__version__,
            uptime_s=round(trio.current_time() - self._began, 1),
            sessions=self._hub.count,
            connections=self.door.connections if self.door is not None else 0,
            audio_bytes=self._hub.audio_bytes,
            tasks=trio.lowlevel.current_statistics().tasks_living,
            jobs=self._job_counts(),
            loop_lag_ms=LoopLag(
                p50=round(lag.p50_ms, 3),
                p99=round(lag.p99_ms, 3),
                max=round(lag.max_ms, 3),
                samples=lag.samples,
            ),
            heart_age_s={name: round(age, 1) for name, age in self._hearts.ages_s().items()},
            stale=stale,
        )

    def ready(self) -> Readiness:
        """Whether a conversation can be held now, and each engine's state."""
        engines = {}
        for lineup in self._lineups:
            if lineup.host is not None:
                engines[str(lineup.kind)] = engine_state(lineup.host)
            if lineup.assistant is not None:
                engines["assistant"] = engine_state(lineup.assistant)
        return Readiness(
            ready=all(lineup.usable for lineup in self._lineups),
            engines=engines,
            providers={
                lineup.kind: [provider_state(provider) for provider in lineup.providers]
                for lineup in self._lineups
                if lineup.providers
            },
            degraded=self._troubles(),
            heat=state_of(self._heat),
        )

    def line(self) -> str:
        """One line for `systemctl status`."""
        down = self._troubles()
        sessions = f"{self._hub.count} session{'' if self._hub.count == 1 else 's'}"
        engines = ", ".join("+".join(lineup.names) for lineup in self._lineups)
        state = f"degraded: {', '.join(down)}; {sessions}" if down else f"{sessions}; {engines}"
        if self._heat.level <= Level.NORMAL:
            return state
        celsius = "" if self._heat.celsius is None else f" at {self._heat.celsius:.0f} °C"
        return f"{self._heat.level.word}{celsius}; {state}"

    async def wait_heat(self) -> None:
        """Wait for another level of the heat than the present one."""
        level = self._heat.level
        await self._heat.wait_until(lambda now: now is not level)

    def metadata(self, insights: Insights, jobs: Iterable[tuple[str, int]]) -> Metadata:
        """What an observer learns first; `jobs` counts them by state."""
        chosen = self._settings
        return Metadata(
            version=__version__,
            uptime_s=round(trio.current_time() - self._began, 1),
            sessions=self._hub.count,
            observers=insights.observers,
            engines={lineup.kind: "+".join(lineup.names)[:200] for lineup in self._lineups},
            heat=self._heat.level.word,
            jobs=dict(jobs),
            settings={
                "insights.transcripts": chosen.insights.transcripts,
                "limits.sessions": chosen.limits.sessions,
                "stt.language": chosen.stt.language,
                "turn_detection.type": chosen.turn_detection.type,
            },
        )

    def _job_counts(self) -> dict[str, int]:
        return {} if self.jobs is None else {str(k): v for k, v in self.jobs.ledger.counts.items()}

    def _troubles(self) -> list[str]:
        return list(chain.from_iterable(lineup.troubles() for lineup in self._lineups))


def engine_state(host: EngineHost) -> EngineState:
    """How an engine does."""
    state = host.state
    return EngineState(
        name=host.spec.name,
        state=state,
        reason=UNSET if state == "ready" else REASONS.get(state, state),
        restarts=host.restarts,
        queue=host.queue_depth,
    )


def provider_state(provider: Provider) -> ProviderState:
    """How a server does."""
    if not provider.trouble:
        return ProviderState(name=provider.name, state="ready")
    state: Literal["failing", "open"] = "failing" if provider.usable else "open"
    return ProviderState(name=provider.name, state=state, reason=provider.trouble)


async def report_status(notifier: Notifier, status: Status) -> None:
    """Tell systemd what is new, whenever the line has changed."""
    told = ""
    while True:
        line = status.line()
        if line != told:
            notifier.status(line)
            told = line
        with trio.move_on_after(REPORT_S):
            await status.wait_heat()
