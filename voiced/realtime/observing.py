"""One WebSocket of somebody who watches the daemon: `/v1/realtime?intent=insights`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio
from trio_websocket import ConnectionClosed

from voiced.errors import leaves
from voiced.realtime.connection import GARBAGE_ALLOWED, PONG_S, ConnectionLost, closed_by, receive
from voiced.realtime.rates import TokenBucket
from voiced.telemetry.messages import (
    ClientPing,
    ClientPong,
    ErrorMessage,
    PingMessage,
    PongMessage,
    encode,
    parse_types,
    utc_now,
)
from voiced.telemetry.payloads import Beat, Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from voiced.settings import Settings
    from voiced.telemetry.insights import Insights, Observer
    from voiced.telemetry.messages import Message
    from voiced.web.websocket import DoorSocket, Upgrade

log = structlog.get_logger(__name__)

CLOSE_GARBAGE: Final = 1002

AT_ONCE: Final = 31
"""Messages that go out with another one: those that came at the same moment, or while it could not
be sent. What waits longer is better kept where newer ones take its place."""

_DECODER: Final = msgspec.json.Decoder(ClientPing | ClientPong)


async def serve_observer(
    websocket: DoorSocket, upgrade: Upgrade, *, insights: Insights, settings: Settings
) -> None:
    """Tell one observer how things are and what happens, until it leaves or has to go.

    It is closed with 1001 when the daemon stops, with 1008 when more warnings wait than are kept
    for one observer, with 1002 after repeated garbage; it is dropped when it takes nothing for
    `limits.send_timeout_s`, or shows no sign of life after a ping. Cancelling drops it as it is.
    The caller closes the socket.
    """
    types = parse_types(upgrade.query.get("types", ""))
    watcher = Watcher(websocket, settings)
    with insights.watch(types) as observer:
        log.info("observer came", remote=upgrade.remote, types=sorted(types or ()))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watcher.tell, observer)
                nursery.start_soon(watcher.beat, settings.insights.ping_s)
                await watcher.listen()
        except* ConnectionLost as group:
            log.info("observer left", cause=str(leaves(group)[0]))


class Watcher:
    """The three tasks of one observer: what it is told, what it says, whether it lives."""

    def __init__(self, websocket: DoorSocket, settings: Settings) -> None:
        self._websocket = websocket
        self._limits = settings.limits

    async def tell(self, observer: Observer) -> None:
        """Send what there is to tell; raises `ConnectionLost` at the end."""
        while (text := await observer.get()) is not None:
            texts = [text, *observer.get_more(AT_ONCE)]
            await self._within(self._websocket.send_texts(texts))
        assert observer.end is not None
        await self._close(observer.end.code, observer.end.reason)

    async def listen(self) -> None:
        """Answer what it says; raises `ConnectionLost` at the end."""
        rate = self._limits.events_per_minute
        bucket = TokenBucket(rate=rate / 60, burst=rate, now=trio.current_time())
        garbage = 0
        while True:
            message = await receive(self._websocket)
            answer = answer_to(message)
            garbage = garbage + 1 if isinstance(answer, ErrorMessage) else 0
            if answer is not None:
                await self._within(self._websocket.send_message(encode(answer)))
            if garbage > GARBAGE_ALLOWED:
                await self._close(CLOSE_GARBAGE, "too many messages that are not messages")
            await trio.sleep(bucket.take(1, trio.current_time()))

    async def beat(self, ping_s: float) -> None:
        """Ping, in a message and as WebSockets do, and give up whoever shows no sign of life.

        Any sign will do: programs that know nothing of the message have their library answer the
        other one.
        """
        sequence = 0
        patience_s = min(PONG_S, ping_s)
        due = trio.current_time() + ping_s
        while True:
            await trio.sleep_until(due)
            sequence += 1
            asked = trio.current_time()
            due = asked + ping_s
            ping = PingMessage(payload=Beat(sequence=sequence), timestamp=utc_now())
            await self._within(self._websocket.send_message(encode(ping)))
            await self._within(self._websocket.send_ping())
            await trio.sleep(patience_s)
            if self._websocket.heard_at < asked:
                raise ConnectionLost("no pong")

    async def _within(self, sending: Awaitable[None]) -> None:
        """A send that must get through in time: half a message may be on its way else."""
        try:
            with trio.fail_after(self._limits.send_timeout_s):
                await sending
        except trio.TooSlowError as exc:
            raise ConnectionLost("the observer does not read") from exc
        except ConnectionClosed as exc:
            raise ConnectionLost(closed_by(exc)) from exc

    async def _close(self, code: int, reason: str) -> None:
        await self._within(self._websocket.aclose(code, reason))
        raise ConnectionLost(f"closed with {code}: {reason}")


def answer_to(message: str | bytes) -> Message | None:
    """What an observer is answered; None for a pong, which is an answer itself."""
    try:
        if isinstance(message, bytes):
            raise msgspec.ValidationError("only text frames are accepted")
        said = _DECODER.decode(message)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        known = isinstance(error, msgspec.ValidationError)
        problem = str(error)[:500] if known else "it is not valid JSON"
        about = f"An observer says `ping` and `pong`, and this is neither: {problem}."
        fault = Fault(code="invalid_message", message=about)
        return ErrorMessage(payload=fault, timestamp=utc_now())
    if isinstance(said, ClientPong):
        return None
    return PongMessage(payload=said.payload, timestamp=utc_now())
