"""A session's server events, numbered and encoded, between the core and the connection."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
import trio

if TYPE_CHECKING:
    from voiced.conversation.effects import Close
    from voiced.conversation.events import ServerEvent


class OutboxFull(Exception):
    """The client has not read for so long that the bound in bytes is reached."""


class Outbox:
    """First in, first out, bounded in bytes; one reader.

    `put` never waits: a reply's audio is paced before it comes here, so only a client that
    does not read can fill it. Then it raises `OutboxFull` and the session is to be closed.
    Nothing follows the first `close`. `number` is that of the last event that was put, `taken`
    that of the last that `get` has returned.
    """

    __slots__ = (
        "_bulky_bytes",
        "_closed",
        "_drained",
        "_frames",
        "_limit_bytes",
        "_prefix",
        "_waiting",
        "number",
        "size_bytes",
        "taken",
    )

    def __init__(self, seed: str, limit_bytes: int) -> None:
        self._prefix = f'{{"event_id":"event_{seed}'
        self._limit_bytes = limit_bytes
        # A list, since it is nearly always empty, and an empty deque takes more than half a KiB.
        self._frames: list[tuple[str | Close, bool]] = []
        self._bulky_bytes = 0
        self._waiting = trio.Event()
        self._drained: trio.Event | None = None
        self._closed = False
        self.number = 0
        self.taken = 0
        self.size_bytes = 0

    def put(self, event: ServerEvent, *, bulky: bool = False) -> None:
        """Number and encode one event; nothing happens once closed.

        A bulky one fits always, since the client asked for it and `wait_below` keeps it from
        asking for another meanwhile; the bound is for all others together.
        """
        if self._closed:
            return
        number = self.number + 1
        body = msgspec.json.encode(event).decode()
        frame = f'{self._prefix}{number:06x}",{body[1:]}'
        if bulky:
            self._bulky_bytes += len(frame)
        elif self.size_bytes - self._bulky_bytes + len(frame) > self._limit_bytes:
            raise OutboxFull
        self.number = number
        self._frames.append((frame, bulky))
        self.size_bytes += len(frame)
        self._waiting.set()

    def close(self, close: Close) -> None:
        """Let the reader close the connection once everything before this was sent.

        Only the first wish counts.
        """
        if self._closed:
            return
        self._closed = True
        self._tell_drained()
        self._frames.append((close, False))
        self._waiting.set()

    def take_last_words(self) -> None:
        """Be full no more, since little is still to come: the end of what is under way."""
        self._limit_bytes = sys.maxsize

    async def wait_below(self, size_bytes: int) -> None:
        """Wait until no more than this waits to be sent, or the outbox was closed."""
        while self.size_bytes > size_bytes and not self._closed:
            self._drained = self._drained or trio.Event()
            await self._drained.wait()

    async def get(self) -> str | Close:
        """The next frame, or the wish to close. Cancelling loses nothing."""
        while not self._frames:
            self._waiting = trio.Event()
            await self._waiting.wait()
        frame, bulky = self._frames.pop(0)
        if isinstance(frame, str):
            self.size_bytes -= len(frame)
            self._bulky_bytes -= len(frame) if bulky else 0
            self.taken += 1
        self._tell_drained()
        return frame

    def _tell_drained(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None
