"""Watching a daemon: its insights stream, for the command line and the bench."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from voiced.client.connection import CONNECT_S, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection
    from pathlib import Path

    from voiced.client.connection import RealtimeClient, Received

GREETING = "metadata"


class Watch:
    """An open insights stream, read by one task. Made by `open_watch`."""

    def __init__(self, client: RealtimeClient, types: Collection[str]) -> None:
        self._client = client
        self._types = types
        self._first: Received | None = client.greeting

    async def next(self) -> Received:
        """The next message of the types that were asked for; pings are answered on the way.

        Raises `ClientError` once the connection is lost.
        """
        while True:
            received, self._first = self._first or await self._client.receive(), None
            if received.type == "ping":
                await self._client.send({"type": "pong", "payload": payload_of(received.event)})
            elif not self._types or received.type in self._types:
                return received


def payload_of(message: dict[str, Any]) -> dict[str, Any]:
    """The payload of a message; empty where it has none that can be read."""
    payload = message.get("payload")
    return payload if isinstance(payload, dict) else {}


@asynccontextmanager
async def open_watch(
    url: str,
    token: str = "",
    *,
    ca: Path | None = None,
    types: Collection[str] = (),
    connect_s: float = CONNECT_S,
) -> AsyncGenerator[Watch, None]:
    """Watch the daemon whose Realtime URL is `url`; `types` are those of messages, all if none.

    Raises and closes as `open_client` does. The first message is the metadata, where it is wanted.
    """
    # The greeting is always asked for: it tells that this is a daemon that can be watched.
    asked = {"types": ",".join(sorted({*types, GREETING}))} if types else {}
    parts = urlsplit(url)
    query = urlencode({"intent": "insights", **asked}, safe=",")
    address = urlunsplit(parts._replace(query=query))
    async with open_client(address, token, ca=ca, connect_s=connect_s, greeting=GREETING) as client:
        yield Watch(client, types)
