"""Somebody who watches a hub of insights and reads all the time."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
import trio

from tests.patience import CEILING_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from voiced.telemetry.insights import Insights


class Seen:
    """What came so far, in order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._more = trio.Event()

    def add(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self._more.set()
        self._more = trio.Event()

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        return [message["payload"] for message in self.messages if message["type"] == kind]

    async def until(self, kind: str, accepts: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first payload of that type that will do, of those that came or come."""
        with trio.fail_after(CEILING_S):
            while True:
                for payload in self.payloads(kind):
                    if accepts(payload):
                        return payload
                await self._more.wait()


@asynccontextmanager
async def watching(insights: Insights) -> AsyncIterator[Seen]:
    """Read all that there is to see, for the time of the context."""
    seen = Seen()
    with insights.watch() as observer:
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                while (text := await observer.get()) is not None:
                    seen.add(msgspec.json.decode(text))

            nursery.start_soon(read)
            yield seen
            nursery.cancel_scope.cancel(reason="nobody watches any more")
