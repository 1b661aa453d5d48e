"""A whole daemon as a process of its own, and a client that checks every frame it gets."""

from __future__ import annotations

import base64
import json
import os
import selectors
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import trio
from trio_websocket import CloseReason, ConnectionClosed

from tests.certificates import Certified, certify
from tests.clients.oracles import judge
from tests.patience import CEILING_S
from voiced.audio.pcm import WIRE_HZ, bytes_for_ms, duration_ms
from voiced.client.dial import wrap_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from trio_websocket import WebSocketConnection

STUBS = {
    "VOICED_STT__ENGINE": "stub",
    "VOICED_LLM__ENGINE": "stub",
    "VOICED_TTS__ENGINE": "stub",
    "VOICED_LOG__FORMAT": "json",
    # Nothing may depend on how warm the machine is that runs the tests.
    "VOICED_THERMAL__ENABLED": "false",
}


class Daemon:
    """A running `voiced serve`. Made by `start_daemon` or `daemon`."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        log: Path,
        notify: socket.socket,
        certified: Certified | None = None,
    ) -> None:
        self.process = process
        self.certified = certified
        self._log = log
        self._notify = notify
        self.heard: list[str] = []
        """What systemd was told, as far as `told` has read it."""

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it logged so far; a line that is no JSON object fails the test.

        The last line may be half written while the daemon lives.
        """
        *whole, _unfinished = self._log.read_text().split("\n")
        return [json.loads(line) for line in whole]

    @property
    def raw_log(self) -> str:
        return self._log.read_text()

    @property
    def port(self) -> int:
        return self._port("ws")

    @property
    def secure_port(self) -> int:
        """The port of TLS, where the daemon was started with it."""
        return self._port("wss")

    def _port(self, scheme: str) -> int:
        (ready,) = (line for line in self.log if line["event"] == "ready")
        (url,) = (url for url in map(urlsplit, ready["urls"]) if url.scheme == scheme)
        assert url.port is not None
        return url.port

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"

    @property
    def secure_url(self) -> str:
        return f"wss://127.0.0.1:{self.secure_port}/v1/realtime"

    @property
    def ca(self) -> Path:
        """A PEM file with the authority to trust: for SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, --ca."""
        assert self.certified is not None
        return self.certified.ca

    def told(self, word: str) -> None:
        """Wait for the next message to systemd with `word` in it."""
        with selectors.DefaultSelector() as selector, ExitStack() as stack:
            selector.register(self._notify, selectors.EVENT_READ)
            if self.process.poll() is None:
                pidfd = os.pidfd_open(self.process.pid)
                stack.callback(os.close, pidfd)
                selector.register(pidfd, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select(CEILING_S)]
                # What it said before it ended counts.
                if self._notify not in ready:
                    raise AssertionError(f"never told {word!r}:\n{self.raw_log}")
                self.heard.append(self._notify.recv(4096).decode())
                if word in self.heard[-1]:
                    return

    def engine_pid(self, kind: str) -> int:
        """Process id of the engine's newest child."""
        ready = [
            entry
            for entry in self.log
            if entry["event"] == "engine ready" and entry["engine"].startswith(f"{kind}.")
        ]
        return int(ready[-1]["pid"])

    def rss_mb(self) -> float:
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(CEILING_S)


def start_daemon(folder: Path, certified: Certified | None = None, /, **environ: str) -> Daemon:
    """Start `voiced serve` on stub engines and do not wait for anything.

    With `certified` it opens the TLS port too.
    """
    if certified is not None:
        tls = {"tls_port": "0", **certified.settings}
        environ = {**{f"VOICED_SERVER__{k.upper()}": v for k, v in tls.items()}, **environ}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VOICED_")}
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # Abstract, since a path under the test's folder may be too long for a socket.
    notify.bind(f"\0voiced-test-{os.getpid()}-{folder}"[:100])
    log = folder / "log"
    with log.open("wb") as stderr, (folder / "output").open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "voiced", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={
                **kept,
                **STUBS,
                "VOICED_SERVER__PORT": "0",
                "VOICED_STORE__DIRECTORY": str(folder / "state"),
                "NOTIFY_SOCKET": "@" + notify.getsockname()[1:].decode(),
                **environ,
            },
        )
    return Daemon(process, log, notify, certified)


def end_daemon(daemon: Daemon) -> None:
    """Make sure that nothing is left, however the test went."""
    try:
        if daemon.process.poll() is None:
            daemon.stop()
    except subprocess.TimeoutExpired:
        daemon.process.kill()
        daemon.process.wait()
        raise
    finally:
        daemon._notify.close()


@contextmanager
def daemon(folder: Path, certified: Certified | None = None, /, **environ: str) -> Iterator[Daemon]:
    """A daemon that is ready; stopped at the end."""
    running = start_daemon(folder, certified, **environ)
    try:
        running.told("READY=1")
        yield running
    finally:
        end_daemon(running)


def secure_daemon(folder: Path, **environ: str) -> AbstractContextManager[Daemon]:
    """A daemon with TLS for `localhost` and `127.0.0.1` too; see `secure_url` and `ca`."""
    return daemon(folder, certify(folder / "tls"), **environ)


class Client:
    """One connection; every frame is checked for what holds of all of them."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self.websocket = websocket
        self.events: list[dict[str, Any]] = []
        self._ids: set[str] = set()

    async def send(self, kind: str, **fields: object) -> None:
        await self.send_raw(json.dumps({"type": kind, **fields}))

    async def send_raw(self, message: str | bytes) -> None:
        await self.websocket.send_message(message)

    async def append(self, pcm: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode())

    async def speak(self, pcm: bytes, portion_ms: float = 100) -> None:
        """Stream audio at real-time pace."""
        step = bytes_for_ms(portion_ms, WIRE_HZ)
        for start in range(0, len(pcm), step):
            await self.append(pcm[start : start + step])
            await trio.sleep(portion_ms / 1000)

    async def configure(self, **session: object) -> dict[str, Any]:
        await self.send("session.update", session={"type": "realtime", **session})
        updated: dict[str, Any] = (await self.until("session.updated"))["session"]
        return updated

    async def add_text(self, text: str, **fields: object) -> dict[str, Any]:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.send("conversation.item.create", item=item, **fields)
        done: dict[str, Any] = await self.until("conversation.item.done")
        return done

    async def type_in(self, text: str, **response: object) -> dict[str, Any]:
        """A typed turn; returns its finished response."""
        await self.add_text(text)
        await self.send("response.create", response=response)
        finished: dict[str, Any] = (await self.until("response.done"))["response"]
        return finished

    async def next(self) -> dict[str, Any]:
        """The next event (check V: a text frame, good for both oracles, with an id of its own)."""
        frame = await self.websocket.get_message()
        assert isinstance(frame, str)
        event = judge(frame)
        assert isinstance(event["type"], str)
        assert event["event_id"] not in self._ids
        self._ids.add(event["event_id"])
        self.events.append(event)
        return event

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event = await self.next()
            if event["type"] == kind:
                return event

    async def error(self) -> dict[str, Any]:
        """The `error` object of the next error."""
        error: dict[str, Any] = (await self.until("error"))["error"]
        assert set(error) == {"type", "code", "message", "param", "event_id"}
        return error

    async def nothing_comes(self) -> None:
        """Fail where the server had something to say: what it is asked now is answered next."""
        await self.send("conversation.item.retrieve", item_id="no such item", event_id="probe")
        event = await self.next()
        assert event["type"] == "error", event
        assert event["error"]["event_id"] == "probe"

    async def close_reason(self) -> CloseReason:
        """Read until the server closes."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        assert self.websocket.closed is not None
        return self.websocket.closed

    def types(self, *, since: int = 0) -> list[str]:
        """Types of the events, runs of one type folded into one."""
        types = [event["type"] for event in self.events[since:]]
        return [t for i, t in enumerate(types) if i == 0 or types[i - 1] != t]

    def text(self, kind: str, response_id: str) -> str:
        return "".join(
            e["delta"] for e in self.events if e["type"] == kind and e["response_id"] == response_id
        )

    def audio(self, response_id: str) -> list[bytes]:
        return [
            base64.b64decode(e["delta"])
            for e in self.events
            if e["type"] == "response.output_audio.delta" and e["response_id"] == response_id
        ]

    def audio_ms(self, response_id: str) -> float:
        return duration_ms(sum(map(len, self.audio(response_id))), WIRE_HZ)


@asynccontextmanager
async def connected(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    protocols: tuple[str, ...] = (),
    ca: Path | None = None,
) -> AsyncIterator[Client]:
    """A client that has been greeted; `ca` is for `wss`."""
    async with open_socket(url, headers=headers, protocols=protocols, ca=ca) as websocket:
        client = Client(websocket)
        assert (await client.next())["type"] == "session.created"
        yield client


@asynccontextmanager
async def open_socket(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    protocols: tuple[str, ...] = (),
    ca: Path | None = None,
) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket with nothing read of it, under the ceiling.

    trio-websocket's own `open_websocket` leaves the socket open where the server closed first.
    """
    with trio.fail_after(CEILING_S):
        async with await open_stream(url, ca) as stream, trio.open_nursery() as nursery:
            parts = urlsplit(url)
            websocket = await wrap_stream(
                nursery,
                stream,
                parts.netloc,
                f"{parts.path}?{parts.query}",
                headers=[(k.encode(), v.encode()) for k, v in (headers or {}).items()],
                protocols=protocols,
                backlog=1000,
                most_bytes=64 << 20,
            )
            try:
                yield websocket
            finally:
                with trio.move_on_after(1, shield=True):
                    await websocket.aclose()
                nursery.cancel_scope.cancel(reason="the client is done")


async def open_stream(url: str, ca: Path | None = None) -> trio.abc.Stream:
    """A connection to where `url` points, with TLS for `wss`."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    if parts.scheme != "wss":
        return await trio.open_tcp_stream(parts.hostname, parts.port)
    context = ssl.create_default_context(cafile=ca)
    return await trio.open_ssl_over_tcp_stream(
        parts.hostname, parts.port, ssl_context=context, https_compatible=True
    )


def make_speech(folder: Path, text: str = "turn on the living room lamp", *options: str) -> bytes:
    """Somebody speaking, as PCM16 at 24 kHz: by the built-in voice, so that it works anywhere.

    `options` are those of `voiced say`.
    """
    from voiced.audio.files import read_pcm16

    path = folder / "speech.wav"
    command = [sys.executable, "-m", "voiced", "say", text, "--out", str(path), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=CEILING_S)
    return read_pcm16(path, WIRE_HZ)
