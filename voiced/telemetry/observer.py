"""One who watches the daemon: what it asked for, what waits for it, and why it gets no more."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio

from voiced.telemetry.backlog import Backlog
from voiced.telemetry.messages import Invalid, Message, encode, type_of, utc_now, wrap
from voiced.telemetry.payloads import Mergeable, Warning_

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable

log = structlog.get_logger(__name__)

BEHIND = "observer_behind"


class End(msgspec.Struct, frozen=True):
    """Why an observer gets nothing more, with the code to close its WebSocket with; `at_once`
    where what waits for it is not worth sending either."""

    code: int
    reason: str
    at_once: bool = False


GOODBYE: Final = End(1001, "the server is shutting down")
TOO_SLOW: Final = End(1008, "too many warnings were not read", at_once=True)


class Parcel(msgspec.Struct, frozen=True):
    """A message on its way to observers, encoded once for all of them."""

    message: Message
    text: str


class Observer:
    """One who watches: a snapshot, then what happens, as far as it is read. One reader."""

    def __init__(self, types: Collection[str] | None, most: int) -> None:
        self._types = types
        self._snapshot: deque[Message] = deque()
        self._backlog: Backlog[Parcel] = Backlog(most)
        self._waiting = trio.Event()
        #: Why nothing more comes; None while it does.
        self.end: End | None = None

    def wants(self, kind: str) -> bool:
        """Whether it has asked for messages of this type."""
        return self._types is None or kind in self._types

    def begin(self, snapshot: Iterable[Message]) -> None:
        """How things are: comes before what happens."""
        self._snapshot.extend(snapshot)

    def put(self, key: Hashable, parcel: Parcel, *, lasting: bool) -> None:
        """One message more, unless it is the end; is the end where it cannot be kept."""
        if self.end is None and not self._backlog.put(key, parcel, lasting=lasting):
            self.finish(TOO_SLOW)
        self._waiting.set()

    def finish(self, end: End) -> None:
        """Nothing more comes in. The first reason counts."""
        self.end = self.end or end
        self._waiting.set()

    async def get(self) -> str | None:
        """The next message as JSON; None once there will be none, for the reason of `end`.
        Cancelling loses nothing."""
        while self.end is None or not self.end.at_once:
            if (text := self._take()) is not None:
                return text
            if self.end is not None:
                break
            self._waiting = trio.Event()
            await self._waiting.wait()
        return None

    def get_more(self, most: int) -> list[str]:
        """What else is there already, up to so many messages."""
        found: list[str] = []
        while len(found) < most and (self.end is None or not self.end.at_once):
            if (text := self._take()) is None:
                break
            found.append(text)
        return found

    def _take(self) -> str | None:
        while self._snapshot:
            message = self._snapshot.popleft()
            try:
                return encode(message)
            except Invalid as error:
                complain(message, error)
        if self._backlog.left_out:
            count, self._backlog.left_out = self._backlog.left_out, 0
            return encode(wrap(behind(count), utc_now()))
        if (taken := self._backlog.take()) is None:
            return None
        parcel, coalesced = taken
        return parcel.text if not coalesced else encode(merged(parcel.message, coalesced))


def stands_for(message: Message) -> int:
    """For how many others the message stands."""
    return message.payload.coalesced if isinstance(message.payload, Mergeable) else 0


def merged(message: Message, coalesced: int) -> Message:
    """The message, standing for so many more others, if it can."""
    if not isinstance(message.payload, Mergeable):
        return message
    count = message.payload.coalesced + coalesced
    payload = msgspec.structs.replace(message.payload, coalesced=count)
    return msgspec.structs.replace(message, payload=payload)


def behind(count: int) -> Warning_:
    """What an observer is told that has missed something for good."""
    return Warning_(
        code=BEHIND,
        message=f"You read too slowly: {count} messages were left out. Warnings and errors were "
        "not among them; connect again for how things are now.",
        coalesced=count,
    )


def complain(message: Message, error: Invalid) -> None:
    """Log what was wrong with a message, without what was in it."""
    log.error("insights message is invalid", type=type_of(message), problem=str(error))
