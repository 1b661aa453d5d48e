"""All sessions of the daemon: opened for a connection, run in nurseries of their own."""

from __future__ import annotations

import secrets
import time
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import structlog
import trio
from msgspec import structs
from structlog.contextvars import bound_contextvars

from voiced.conversation import inputs as inp
from voiced.conversation.config import (
    AnySessionConfig,
    Audio,
    AudioIn,
    AudioOut,
    Extras,
    Rejected,
    SessionConfig,
    TranscriptionAudio,
    TranscriptionSessionConfig,
    update_config,
    without_answers,
)
from voiced.engines.owner import request_owner
from voiced.realtime.detections import own_detections
from voiced.realtime.session import CLOSE_FAULT, Session
from voiced.supervision.hearts import BEAT_S, SILENT_S, Hearts
from voiced.telemetry.insights import PartialResult
from voiced.thermal.words import state_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from voiced.realtime.parts import SessionParts
    from voiced.settings import Settings
    from voiced.telemetry.tally import Tally
    from voiced.thermal.level import HeatChange
    from voiced.tools.notice import Notice

log = structlog.get_logger(__name__)

SESSIONS_WAITING = 64
"""Sessions opened and not yet started; connections beyond it wait their turn."""

DEFAULT_INSTRUCTIONS = "You are a voice assistant in a home. Answer briefly, in plain words."


class SessionHub:
    """Opens sessions and owns their tasks.

    `serve_sessions` and `serve_audio` are the two services: state machines and replies in one
    nursery, audio pipelines in another, each with a heart among `hearts`. A session that fails
    ends alone.
    """

    def __init__(self, parts: SessionParts, hearts: Hearts | None = None) -> None:
        self._parts = parts
        self._hearts = Hearts() if hearts is None else hearts
        self._sessions: dict[str, Session] = {}
        self._closing = False
        self._new_sessions, self._sessions_to_run = trio.open_memory_channel[Session](
            SESSIONS_WAITING
        )
        self._new_audio, self._audio_to_run = trio.open_memory_channel[Session](SESSIONS_WAITING)
        parts.heat.subscribe(self._follow_heat)

    @property
    def count(self) -> int:
        """How many sessions are open."""
        return len(self._sessions)

    @property
    def audio_bytes(self) -> int:
        """Audio from clients that all sessions together hold."""
        return sum(session.held_bytes for session in self._sessions.values())

    @property
    def tally(self) -> Tally:
        """What happened in all sessions."""
        return self._parts.tally

    @property
    def dropped_bytes(self) -> int:
        """Audio from clients that was lost, since there was too much of it."""
        living = sum(session.pipeline.dropped_bytes for session in self._sessions.values())
        return self._parts.tally.dropped_bytes + living

    @property
    def withheld_guesses(self) -> int:
        """How often nothing was worked out in advance, for the heat."""
        living = sum(session.pipeline.withheld_guesses for session in self._sessions.values())
        return self._parts.tally.withheld_guesses + living

    async def serve_sessions(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run sessions until cancelled."""
        await self._run_all("sessions", self._sessions_to_run, run_session, task_status)

    async def serve_audio(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run audio pipelines until cancelled."""
        await self._run_all("audio", self._audio_to_run, run_pipeline, task_status)

    async def _run_all(
        self,
        name: str,
        waiting: trio.MemoryReceiveChannel[Session],
        run: Callable[[Session], Awaitable[None]],
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with trio.open_nursery() as nursery:
            with self._hearts.add(name, SILENT_S) as heart:
                task_status.started()
                while True:
                    with trio.move_on_after(BEAT_S):
                        nursery.start_soon(guard, await waiting.receive(), run)
                    heart.beat()

    @asynccontextmanager
    async def open_session(
        self,
        remote: str,
        model: str | None,
        *,
        intent: str | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Session]:
        """A new session, for as long as the context lasts; leaving it cancels all its work.

        `intent` "transcription" makes a transcription session. `defaults` is the `session`
        object that came with a client secret.
        """
        seed = secrets.token_hex(8)
        config = opening_config(
            self._parts.settings, seed, model=model, intent=intent, defaults=defaults
        )
        heat = state_of(self._parts.heat)
        config = structs.replace(config, voiced=Extras(heat=heat))
        session = Session(config, seed, self._parts)
        del config, defaults  # or they would be kept for as long as the session is open
        self._sessions[session.id] = session
        self._parts.tally.sessions += 1
        began = trio.current_time()
        with bound_contextvars(session=session.id):
            log.info("opened session", remote=remote)
            try:
                await self._new_sessions.send(session)
                await self._new_audio.send(session)
                if self._closing:
                    session.apply(inp.ShutDown())
                self._tell(session, "opened")
                yield session
            finally:
                session.end("the connection ended")
                del self._sessions[session.id]
                self._parts.tally.dropped_bytes += session.pipeline.dropped_bytes
                self._parts.tally.withheld_guesses += session.pipeline.withheld_guesses
                self._tell(session, "closed")
                if session.lost_notice:
                    for other in self._sessions.values():
                        other.look_for_missed()
                self._parts.history.drop(session.id)
                log.info(
                    "closed session",
                    seconds=round(trio.current_time() - began, 1),
                    dropped_audio_bytes=session.pipeline.dropped_bytes,
                )

    def reports(self) -> Iterator[PartialResult]:
        """What every session is at, for somebody who begins to watch."""
        return (session.telling.now() for session in self._sessions.values())

    def _tell(self, session: Session, state: Literal["opened", "closed"]) -> None:
        self._parts.insights.partial_result(PartialResult(session_id=session.id, state=state))

    def announce(self, session_id: str, notice: Notice) -> None:
        """Say something unasked: in that session, else in all. Settled at once where nobody is."""
        session = self._sessions.get(session_id)
        listeners = [session] if session is not None else list(self._sessions.values())
        listeners = [listener for listener in listeners if listener.answers]
        if not listeners:
            notice.settle(False)
            return
        shared = notice.shared(len(listeners))
        for listener in listeners:
            guarded(listener, partial(listener.announce, shared))

    def _follow_heat(self, _change: HeatChange) -> None:
        for session in list(self._sessions.values()):
            guarded(session, session.follow_heat)

    def say_goodbye(self) -> None:
        """The daemon shuts down: close every response, then every connection with 1001.

        Sessions that are opened later are closed at once. Idempotent.
        """
        if not self._closing:
            self._closing = True
            for session in list(self._sessions.values()):
                guarded(session, partial(session.apply, inp.ShutDown()))


def guarded(session: Session, act: Callable[[], None]) -> None:
    """Do something in a session from elsewhere; a fault ends this session and no other."""
    with bound_contextvars(session=session.id):
        try:
            act()
        except Exception:
            fail(session)


async def run_session(session: Session) -> None:
    """The session's own task, in its scope."""
    with session.scope:
        await session.run()


async def run_pipeline(session: Session) -> None:
    """The session's audio pipeline, in its scope."""
    with session.audio_scope:
        await session.pipeline.run()


async def guard(session: Session, run: Callable[[Session], Awaitable[None]]) -> None:
    """Run a part of a session; a fault ends this session and no other."""
    request_owner.set(session.id)  # for all tasks of the session: sessions take turns at engines
    with bound_contextvars(session=session.id):
        try:
            await run(session)
        except Exception:
            fail(session)


def fail(session: Session) -> None:
    """End a session for the fault that is being handled."""
    log.exception("session failed")
    session.telling.fail()
    session.fail(CLOSE_FAULT, "internal error")


def opening_config(
    settings: Settings,
    seed: str,
    *,
    model: str | None = None,
    intent: str | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> AnySessionConfig:
    """The configuration that a session begins with: the daemon's own, updated by `defaults`.

    A `model` in the URL comes before that of `defaults`. Raises `Rejected`, as an update does,
    where `defaults` is no session object.
    """
    if intent == "transcription" or (defaults or {}).get("type") == "transcription":
        silent = transcription_config(settings, seed)
        if defaults is None:
            return silent
        return update_config(
            silent, defaults, voice_fixed=False, detections=own_detections(settings)
        )
    named = (defaults or {}).get("model")
    if named is not None and not isinstance(named, str):
        message = "Invalid value for 'session.model': expected `str`."
        raise Rejected("invalid_value", message, param="session.model")
    config = default_config(settings, seed, model or named)
    if defaults is None:
        return config
    detections = own_detections(settings)
    return update_config(config, defaults, voice_fixed=False, detections=detections)


def transcription_config(settings: Settings, seed: str) -> TranscriptionSessionConfig:
    """The configuration of a fresh transcription session."""
    detection = own_detections(settings).default
    config = TranscriptionSessionConfig(
        id=f"sess_{seed}",
        expires_at=int(time.time() + settings.session.max_s),
        audio=TranscriptionAudio(input=AudioIn(turn_detection=detection)),
    )
    return without_answers(config)


def default_config(settings: Settings, seed: str, model: str | None) -> SessionConfig:
    """The configuration of a fresh session."""
    return SessionConfig(
        id=f"sess_{seed}",
        model=model or "voiced",
        instructions=settings.session.instructions or DEFAULT_INSTRUCTIONS,
        expires_at=int(time.time() + settings.session.max_s),
        audio=Audio(
            input=AudioIn(turn_detection=own_detections(settings).default),
            output=AudioOut(voice=settings.tts.voice, speed=settings.tts.speed),
        ),
    )
