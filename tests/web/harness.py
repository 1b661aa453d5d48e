"""A door on a loopback port of the kernel's choice, and raw clients for it."""

from __future__ import annotations

import contextlib
import json
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from tests.patience import CEILING_S
from tests.realtime.fakes import FakeLlm, FakeStt, FakeToolbox, FakeTts
from voiced.client.dial import wrap_stream
from voiced.inspector import Inspector
from voiced.jobs.desk import Desk
from voiced.jobs.ledger import Ledger
from voiced.jobs.runner import Runner
from voiced.jobs.shelf import Shelf
from voiced.realtime.secrets import ClientSecrets
from voiced.settings import Auth, Limits, Server, Settings
from voiced.store.database import Database
from voiced.telemetry.insights import Insights
from voiced.telemetry.metrics import Metrics
from voiced.telemetry.tally import Tally
from voiced.thermal.heat import Heat
from voiced.thermal.level import HeatState
from voiced.web.app import VoicedApp, build_app
from voiced.web.door import Door, open_door
from voiced.web.facts import EngineState, Health, LoopLag, Readiness
from voiced.web.services import Services
from voiced.web.streams import open_listeners, peer_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from voiced.tools.toolbox import Toolbox
    from voiced.web.gate import Application
    from voiced.web.refusal import Refusal
    from voiced.web.tls import HasContext
    from voiced.web.websocket import DoorSocket, Upgrade

REMOTE = "192.0.2.7"  # an address that is never this machine's


def make_settings(
    *,
    server: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    token: str = "",
    token_on_loopback: bool = False,
) -> Settings:
    return Settings(
        server=Server(**(server or {})),
        limits=Limits(**(limits or {})),
        auth=Auth(token=token, token_on_loopback=token_on_loopback),
    )


class Status:
    """A status source whose readiness a test can set."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.is_ready = True
        self.stale: list[str] = []

    def health(self) -> Health:
        return Health(
            status="degraded" if self.stale else "ok",
            version="1.2.3",
            uptime_s=1.0,
            sessions=0,
            connections=1,
            audio_bytes=0,
            tasks=9,
            loop_lag_ms=LoopLag(p50=0.1, p99=0.2, max=0.3, samples=4),
            heart_age_s={"door": 0.5},
            stale=self.stale,
        )

    def ready(self) -> Readiness:
        state = "ready" if self.is_ready else "starting"
        engine = EngineState(name="fake", state=state, restarts=0, queue=0)
        heat = HeatState(level="warm", celsius=76.0, words="The processor is warm (76 °C).")
        return Readiness(ready=self.is_ready, engines={"stt": engine}, heat=heat)


def make_app(status: Status | None = None, **parts: Any) -> VoicedApp:  # noqa: ANN401  # fakes
    """The application on fake engines; `parts` replace those of the `Services`."""
    status = status or Status(make_settings())
    services = Services(
        **{
            "settings": status.settings,
            "stt": FakeStt(),
            "llm": FakeLlm(),
            "tts": FakeTts(),
            "toolbox": cast("Toolbox", FakeToolbox()),
            "client_secrets": make_secrets(),
            "jobs": idle_desk(status.settings),
            "tally": Tally(),
            "insights": Insights(),
            "metrics": Metrics(),
            "inspector": Inspector((), None, cast("Toolbox", FakeToolbox())),
            **parts,
        }
    )
    return build_app(status, services)


def idle_desk(settings: Settings) -> Desk:
    """Nobody can hand in a job here: there is no kind, and no database."""
    nowhere = Path("/nonexistent")
    ledger, shelf = Ledger(Database(nowhere), Insights()), Shelf(nowhere)
    runner = Runner(settings.jobs, {}, ledger, shelf, Heat())
    return Desk(settings.jobs, {}, ledger, shelf, runner)


def make_secrets(*, most: int = 100, most_bytes: int = 100_000) -> ClientSecrets:
    return ClientSecrets(time.monotonic, most=most, most_bytes=most_bytes)


async def echo(websocket: WebSocketConnection, upgrade: Upgrade) -> None:
    while True:
        await websocket.send_message(await websocket.get_message())


@asynccontextmanager
async def running(
    settings: Settings | None = None,
    *,
    handler: Callable[[DoorSocket, Upgrade], Awaitable[None]] = echo,
    app: Application | None = None,
    remote: str | None = None,
    certificate: HasContext | None = None,
    client_secrets: ClientSecrets | None = None,
    on_refusal: Callable[[Refusal], None] = lambda refusal: None,
) -> AsyncIterator[tuple[Door, int]]:
    """Open a door; yields it and its port: that of TLS where there is a certificate.

    `remote` is the address that all peers seem to have.
    """
    settings = settings or make_settings()
    listeners = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0)
    secure = await open_listeners("127.0.0.1", 0, send_timeout_s=5.0) if certificate else []
    peer = peer_address if remote is None else (lambda _: remote)
    with trio.fail_after(CEILING_S):
        async with open_door(
            listeners,
            settings,
            app=app or make_app(Status(settings)),
            handler=handler,
            peer=peer,
            secure=secure,
            certificate=certificate,
            client_secrets=client_secrets,
            on_refusal=on_refusal,
        ) as door:
            yield door, (door.secure_addresses or door.addresses)[0][1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; the ceiling ends a test where it never does."""
    while not condition():  # noqa: ASYNC110  # what is waited for has no event to tell of it
        await trio.sleep(0.01)


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def connect_tls(
    port: int, trusted: ssl.SSLContext, *, source: str | None = None
) -> trio.SSLStream[trio.SocketStream]:
    """Connect with TLS, in the strict sense: an end without close_notify is an error."""
    plain = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
    stream = trio.SSLStream(plain, trusted, server_hostname="localhost")
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Return what comes until the server closes."""
    data = bytearray()
    while chunk := await stream.receive_some():
        data += chunk
    return bytes(data)


async def ask(port: int, request: bytes, trusted: ssl.SSLContext | None = None) -> bytes:
    """Send `request` on a new connection and return all that comes until the server closes.

    With TLS where there are authorities to trust.
    """
    opened = connect(port) if trusted is None else connect_tls(port, trusted)
    async with await opened as stream:
        await stream.send_all(request)
        return await read_all(stream)


def get(path: str = "/health", *fields: str, close: bool = True, host: str = "localhost") -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", *fields]
    if close:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode()


def upgrade(path: str = "/v1/realtime", *fields: str, version: str = "13") -> bytes:
    return get(
        path,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Sec-WebSocket-Version: {version}",
        *fields,
        close=False,
    )


def status_of(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def error_of(response: bytes) -> Any:  # noqa: ANN401  # whatever JSON holds
    return json.loads(response.partition(b"\r\n\r\n")[2])["error"]


async def read_response(stream: trio.abc.ReceiveStream) -> bytes:
    """Read one response with a Content-Length, and not a byte more."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some(1)
    fields = dict(line.lower().split(b": ", 1) for line in data.split(b"\r\n")[1:] if line)
    body = b""
    while len(body) < int(fields[b"content-length"]):
        body += await stream.receive_some(int(fields[b"content-length"]) - len(body))
    return data + body


@asynccontextmanager
async def websocket(
    port: int,
    path: str = "/v1/realtime",
    *,
    protocols: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
    trusted: ssl.SSLContext | None = None,
) -> AsyncIterator[WebSocketConnection]:
    """Connect a client. `open_websocket` would leave the socket open after the server's Close."""
    fields = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    opened = connect(port) if trusted is None else connect_tls(port, trusted)
    async with await opened as stream, trio.open_nursery() as nursery:
        client = await wrap_stream(
            nursery, stream, "localhost", path, headers=fields, protocols=protocols
        )
        yield client
        await client.aclose()


async def read_close(client: WebSocketConnection) -> tuple[int, str | None]:
    """Discard messages until the server closes; return its code and reason."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await client.get_message()
    assert client.closed is not None
    return client.closed.code, client.closed.reason
