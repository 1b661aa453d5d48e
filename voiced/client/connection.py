"""A connection to a Realtime server, for the command line and the bench."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import h11
import msgspec
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected

from voiced.client.address import Address, parse_address
from voiced.client.dial import (
    KeyRefused,
    WatchedStream,
    no_websocket,
    open_stream,
    rejected,
    too_slow,
    upgrade,
)
from voiced.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from trio_websocket import CloseReason, WebSocketConnection

CONNECT_S: Final = 5.0
_CLOSE_S: Final = 2.0
# When cancelled, the reader is gone and no closing handshake can complete: say it and go.
_CANCELLED_CLOSE_S: Final = 0.1
# A reply's worth of audio deltas. When full, the reader waits and TCP holds the server back.
_BACKLOG: Final = 1024

_CLOSE_WORDS: Final = {
    1001: "it is shutting down",
    1006: "the connection was lost",
    1008: "too much was not read",
    1009: "a message was too large",
    1011: "it failed internally",
    3000: "the credentials are wrong",
    4001: "it does not know the session",
    4029: "it has too many connections",
}


class Received(msgspec.Struct, frozen=True):
    """A server event and when it arrived (`trio.current_time()`, seconds)."""

    event: dict[str, Any]
    at: float

    @property
    def type(self) -> str:
        return str(self.event["type"])


class RealtimeClient:
    """One open connection. Made by `open_client`, which also closes it.

    One task may send and one may receive at a time. A cancelled send leaves a frame half
    written: the connection can then only be closed.
    """

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket
        self._inbox_send, self._inbox = trio.open_memory_channel[Received](_BACKLOG)
        self._lost: ClientError | None = None
        self.session: dict[str, Any] = {}
        self.greeting: Received | None = None

    async def send(self, event: Mapping[str, Any]) -> None:
        """Send a client event. Raises `ClientError` once the connection is lost."""
        await self.send_text(msgspec.json.encode(event).decode())

    async def send_text(self, message: str) -> None:
        """Send a client event that is already JSON. Raises `ClientError` as `send` does."""
        try:
            await self._websocket.send_message(message)
        except ConnectionClosed as exc:
            raise self._lost or _closed(exc.reason) from None

    async def send_audio(self, pcm: bytes) -> None:
        """Append PCM16 mono at 24 kHz to the input audio buffer."""
        await self.send_text(append_event(pcm))

    async def receive(self) -> Received:
        """The next server event, in order. Raises `ClientError` once the connection is lost."""
        try:
            return await self._inbox.receive()
        except trio.EndOfChannel:
            raise self._lost or ClientError("the connection was closed") from None

    async def wait_for(self, kind: str) -> Received:
        """Drop events up to the first of type `kind`, and return that.

        Raises `ClientError` on an `error` event before it, or once the connection is lost.
        """
        while True:
            received = await self.receive()
            if received.type == kind:
                return received
            if received.type == "error":
                raise refusal(received.event)

    async def configure(self, session: Mapping[str, Any]) -> None:
        """Update the session and wait until the server has accepted it.

        Raises `ClientError` where it is refused; events before the answer are dropped.
        """
        await self.send({"type": "session.update", "session": {"type": "realtime", **session}})
        self.session = (await self.wait_for("session.updated")).event.get("session", {})

    @asynccontextmanager
    async def closing(self) -> AsyncGenerator[None, None]:
        """Close the connection on the way out; for `open_client`."""
        close_s = _CANCELLED_CLOSE_S
        try:
            yield
            close_s = _CLOSE_S
        except Exception:
            close_s = _CLOSE_S
            raise
        finally:
            with trio.move_on_after(close_s, shield=True):
                await self._websocket.aclose()

    async def pump(self) -> None:
        """Read messages into the inbox until the connection is lost; for `open_client`.

        A task of its own, because trio-websocket answers neither pings nor a close while a
        message is waiting to be read.
        """
        async with self._inbox_send:
            while True:
                try:
                    message = await self._websocket.get_message()
                except ConnectionClosed as exc:
                    self._lost = _closed(exc.reason)
                    return
                at = trio.current_time()
                event = _decode(message)
                if event is None:
                    self._lost = ClientError("the server sent something that is no event")
                    return
                try:
                    await self._inbox_send.send(Received(event, at))
                except trio.BrokenResourceError:
                    return


def append_event(pcm: bytes) -> str:
    """The JSON of an `input_audio_buffer.append` with `pcm`."""
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(pcm).decode()}"}}'


def refusal(event: Mapping[str, Any]) -> ClientError:
    """The `ClientError` that says what an `error` event says."""
    error = _body_of(event)
    text = str(error.get("message") or "an error without a message")
    code = error.get("code")
    return ClientError(f"the server refused: {text}" + (f" ({code})" if code else ""))


def _body_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """What an `error` event is about; the insights stream has it in `payload`."""
    body = event.get("error", event.get("payload"))
    return body if isinstance(body, dict) else {}


@asynccontextmanager
async def open_client(
    url: str,
    token: str = "",
    *,
    ca: Path | None = None,
    connect_s: float = CONNECT_S,
    greeting: str = "session.created",
) -> AsyncGenerator[RealtimeClient, None]:
    """Connect to the Realtime server at `url` and wait for its `greeting`, the first event.

    `token` is sent as bearer credential; `ca` is a PEM file of the authorities to trust with
    `wss`, in place of the system's. Raises `ClientError` where nothing listens, the
    server refuses or does not speak Realtime, or does not greet within `connect_s` seconds;
    `UsageError` where `url` is none. Leaving the context closes the connection, waiting at most
    2 s for the server's answer; an exception of the body comes out as it was raised.
    """
    address = parse_address(url)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                async with open_stream(address, connect_s, ca) as stream:
                    client = await _greet(nursery, stream, address, token, connect_s, greeting)
                    async with client.closing():
                        yield client
            except Exception as exc:
                # Raised below, outside the nursery, which would wrap it in a group.
                failure = exc
            nursery.cancel_scope.cancel(reason="the client is closed")
    except* ConnectionRejected as group:
        # Raised by trio-websocket's reader task, not by the call that connects.
        failure = rejected(group, address)
    except* h11.ProtocolError:
        # What trio-websocket's reader makes of an answer that is not HTTP.
        failure = no_websocket(address)
    if failure is not None:
        raise failure


async def _greet(
    nursery: trio.Nursery,
    stream: WatchedStream,
    address: Address,
    token: str,
    connect_s: float,
    greeting: str,
) -> RealtimeClient:
    """Upgrade to a WebSocket, start the client's reader, and wait for the first event."""
    headers = [(b"Authorization", b"Bearer " + token.encode())] if token else []
    try:
        with trio.fail_after(connect_s):
            websocket = await upgrade(nursery, stream, address, headers)
            client = RealtimeClient(websocket)
            nursery.start_soon(client.pump)
            first = await client.receive()
    except trio.TooSlowError:
        raise too_slow(address, connect_s) from None
    if first.type == "error":
        refused = refusal(first.event)
        raise KeyRefused(str(refused)) if _is_about_the_key(first.event) else refused
    if first.type != greeting:
        raise ClientError(f"{address.url} does not speak the Realtime protocol")
    client.greeting = first
    client.session = first.event.get("session", {})
    return client


def _is_about_the_key(event: Mapping[str, Any]) -> bool:
    """Whether the `error` in place of a greeting says that the key is wrong, or is not there.

    OpenAI's service, and voiced after it, has no code for the latter; the insights stream has.
    """
    error = _body_of(event)
    if "payload" in event:
        return error.get("code") in ("missing_api_key", "invalid_api_key")
    about_us = error.get("type") == "invalid_request_error"
    return about_us and error.get("code") in (None, "invalid_api_key")


def _decode(message: str | bytes) -> dict[str, Any] | None:
    try:
        event = msgspec.json.decode(message, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return event if isinstance(event.get("type"), str) else None


def _closed(reason: CloseReason | None) -> ClientError:
    if reason is None:
        return ClientError("the connection was closed")
    words = _CLOSE_WORDS.get(reason.code) or reason.reason or "no reason was given"
    return ClientError(f"the server closed the connection: {words} (code {reason.code})")
