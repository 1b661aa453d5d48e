"""One WebSocket of a session: what the client sends goes in, what the outbox holds goes out."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import structlog
import trio
from trio_websocket import ConnectionClosed

from voiced.conversation import inputs as inp
from voiced.conversation.effects import Close
from voiced.conversation.given import given_audio
from voiced.realtime.rates import TokenBucket
from voiced.realtime.wire import Append, Commit, Garbage, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from voiced.audio.formats import WireFormat
    from voiced.realtime.hub import SessionHub
    from voiced.realtime.session import Session
    from voiced.settings import Limits
    from voiced.web.websocket import DoorSocket, Upgrade

log = structlog.get_logger(__name__)

PING_S = 20.0
"""The default of `session.ping_s`, as the real service has it."""

PONG_S = 20.0
MOST_DEBT_S = 1.0
"""A client that is further ahead of twice real time than this has its audio refused until it is
not; up to this it is only read more slowly. Reading never pauses for longer either, since pings
and control events wait behind audio."""

AUDIO_RATE = 2.0
"""Seconds of audio that may come in a second: twice real time."""

EventT = TypeVar("EventT", Append, inp.CreateItem)

ABNORMAL = 1006
"""What a WebSocket's end without a closing handshake is called; nobody sends it."""

GARBAGE_ALLOWED = 20
"""Undecodable messages in a row before the connection is closed with 1002."""


class ConnectionLost(Exception):
    """The client went away or cannot be reached; ends the connection's nursery."""


class Signs:
    """Signs of life of a client, by `trio.current_time()`, and what their absence asks for."""

    def __init__(self, idle_s: float = inf, ping_s: float = PING_S) -> None:
        self.event = trio.current_time()
        self.idle_s = idle_s
        self._ping_s = ping_s
        self._pinged = -inf

    def due(self, heard_at: float) -> float:
        """When to look again, should nothing come from the client; it was last heard then."""
        if self._pinged <= heard_at:
            ping = heard_at + self._ping_s
        else:  # the pong may come meanwhile, and the next ping is counted from there
            ping = min(self._pinged + PONG_S, trio.current_time() + self._ping_s)
        return min(ping, self.event + self.idle_s)

    async def look(self, websocket: DoorSocket, session: Session) -> None:
        """Ping a client unheard of for `ping_s`, and give it up after another 20 s; close a session
        to which its client has said nothing for `idle_s`, not even silence.

        Whatever comes is a sign of life: a pong may be stuck behind megabytes of audio.
        """
        now = trio.current_time()
        if now >= self.event + self.idle_s:
            self.event = inf
            why = f"no client event for {self.idle_s:g} s"
            session.apply(inp.ShutDown("session_idle", why))
        elif self._pinged > websocket.heard_at:
            if now >= self._pinged + PONG_S:
                raise ConnectionLost("no pong")
        elif now >= websocket.heard_at + self._ping_s:
            self._pinged = now
            await websocket.send_ping()


async def serve_connection(
    websocket: DoorSocket,
    upgrade: Upgrade,
    *,
    hub: SessionHub,
    limits: Limits,
    idle_s: float,
    ping_s: float = PING_S,
) -> None:
    """Serve one accepted WebSocket until it is closed by either side.

    When the hub says goodbye the client gets its last events and close code 1001, as it does
    after `idle_s` without a client event. Cancelling drops the connection as it is. The caller
    closes the socket.
    """
    signs = Signs(idle_s, ping_s)
    async with hub.open_session(
        upgrade.remote,
        upgrade.query.get("model"),
        intent=upgrade.query.get("intent"),
        defaults=attached_to(upgrade),
    ) as session:
        websocket.on_pong = session.notices.receive
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, websocket, session, limits.send_timeout_s, signs)
                # Not raised through the nursery: trio would tie it to the writer's Cancelled in a
                # cycle, and all that a session consists of would wait for the collector.
                try:
                    await read(websocket, session, limits, signs)
                except ConnectionLost as lost:
                    log.info("connection ended", cause=str(lost))
                nursery.cancel_scope.cancel(reason="the connection ended")
        except* ConnectionLost as group:
            log.info("connection ended", cause=str(group.exceptions[0]))


def attached_to(upgrade: Upgrade) -> dict[str, Any] | None:
    """The session object that came with the client secret, if there is one."""
    attached = upgrade.attached.session
    return None if attached is None else msgspec.json.decode(attached)


async def read(websocket: DoorSocket, session: Session, limits: Limits, signs: Signs) -> None:
    """Pass on what the client sends; audio faster than twice real time is slowed down.

    A client that does not read the answers to what it asks is not read either for a while.
    """
    intake = Intake(session, limits, signs)
    while True:
        # Nothing of a message may stay in a local here: it would be kept until the next one.
        await intake.take(await receive(websocket))
        await session.outbox.wait_below(limits.outbox_bytes // 2)


class Intake:
    """Takes in the messages of one client, at the rates allowed to it."""

    def __init__(self, session: Session, limits: Limits, signs: Signs) -> None:
        now = trio.current_time()
        self._session = session
        self._limits = limits
        self._signs = signs
        self._audio = TokenBucket(rate=AUDIO_RATE, burst=limits.audio_burst_s, now=now)
        self._garbage = 0

    async def take(self, message: str | bytes) -> None:
        """Carry out one message; waits where the client is too fast, for good once it is lost."""
        event = decode(message)
        now = trio.current_time()
        if isinstance(event, Append):
            self._signs.event = now
            form = self._session.pipeline.form
            await self._take_audio(event.audio, form, event, self._session.append_audio)
            return
        if isinstance(event, Garbage):
            self._garbage += 1
        else:
            self._garbage = 0
            self._signs.event = now
        if self._garbage > GARBAGE_ALLOWED:
            self._session.fail(1002, "too many messages that are not events")
            await trio.sleep_forever()
        if self._session.control.take(1, now) > 0:
            self._session.apply(over_limit(event, self._limits))
            self._session.control.give_back(1)
            # Refusals cost work too: a client that goes on regardless is slowed down.
            await trio.sleep(60 / self._limits.events_per_minute)
        elif isinstance(event, Commit):
            self._session.commit_audio(event.event_id)
        elif isinstance(event, inp.CreateItem):
            audio = given_audio(event.item) or b""
            form = self._session.pipeline.next_form
            await self._take_audio(audio, form, event, self._session.create_item)
        else:
            self._session.apply(event)

    async def _take_audio(
        self, audio: bytes, form: WireFormat, event: EventT, pass_on: Callable[[EventT], None]
    ) -> None:
        """Pass on what holds `audio`, or refuse it where the client is far ahead; see
        `MOST_DEBT_S`."""
        session = self._session
        audio_s = form.duration_ms(len(audio)) / 1000
        debt_s = self._audio.take(0, trio.current_time())
        if audio and debt_s > MOST_DEBT_S:
            message = f"Audio comes too fast: wait {debt_s:.0f} s. This audio was ignored."
            session.apply(
                inp.RefuseEvent(
                    event_id=event.event_id, code="rate_limit_exceeded", message=message
                )
            )
            # What comes at the pace of speech is not held up: control events are behind it.
            debt_s = audio_s / AUDIO_RATE
        else:
            pass_on(event)
            debt_s = self._audio.take(audio_s, trio.current_time())
        if audio and debt_s > 0:
            await trio.sleep(min(debt_s, MOST_DEBT_S))


def over_limit(event: Commit | inp.Input, limits: Limits) -> inp.RefuseEvent:
    """The typed refusal for one control event too many; the event has no effect."""
    return inp.RefuseEvent(
        event_id=getattr(event, "event_id", None),
        code="rate_limit_exceeded",
        message=f"More than {limits.events_per_minute} events in a minute; this one was ignored.",
    )


async def receive(websocket: DoorSocket) -> str | bytes:
    """The next message; `ConnectionLost` when there will be none."""
    try:
        return await websocket.get_message()
    except ConnectionClosed as exc:
        raise ConnectionLost(closed_by(exc)) from exc


def closed_by(closed: ConnectionClosed) -> str:
    """How a connection ended, in words for the log."""
    if closed.reason is None or closed.reason.code == ABNORMAL:
        return "the connection broke"
    return f"closed with {closed.reason.code}: {closed.reason.reason or 'no reason given'}"


async def write(websocket: DoorSocket, session: Session, timeout_s: float, signs: Signs) -> None:
    """Send what the outbox holds, then close as it asks; meanwhile watch for signs of life.

    A send that does not get through in time means a client that does not read; half a frame
    is on its way then, so nothing more can be sent.
    """
    while True:
        frame = None
        with trio.move_on_at(signs.due(websocket.heard_at)):
            frame = await session.outbox.get()
        try:
            with trio.fail_after(timeout_s):
                if frame is None:
                    await signs.look(websocket, session)
                elif isinstance(frame, Close):
                    await websocket.aclose(frame.code, frame.reason)
                    raise ConnectionLost(f"closed with {frame.code}: {frame.reason}")
                else:
                    number = session.outbox.taken
                    if session.notices.wants_receipt(number):
                        # Before the event: a client may leave as soon as it has that.
                        await websocket.send_ping(b"%d" % number)
                    await websocket.send_message(frame)
        except trio.TooSlowError as exc:
            raise ConnectionLost("the client does not read") from exc
        except ConnectionClosed as exc:
            raise ConnectionLost(closed_by(exc)) from exc
