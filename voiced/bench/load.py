"""Many sessions that stream speech at real-time pace, from one process: `python -m` this.

Reads a `Load` as JSON from standard input, one line; writes JSON lines to standard output:
`{"connected": N}` when all stream, then at the end a `LoadReport`. Ends when standard input does,
or after `seconds`.

One thread, one epoll, frames encoded and masked beforehand: what is sent is what any client
sends, but making it costs next to nothing, so that the machine is left to the daemon. The masking
key is zero, which a client may choose. The handshake is an ordinary one (wsproto), and so is what
comes back read and its pings answered.
"""

from __future__ import annotations

import base64
import heapq
import resource
import select
import socket
import struct
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)

from voiced.bench.stats import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

RATE_HZ: Final = 24_000
_CONNECT_S: Final = 10.0
_BETWEEN_CONNECTS_S: Final = 0.03
_READ_BYTES: Final = 65_536
_TEXT_FRAME: Final = 0x81
_MASKED: Final = 0x80
_KEPT_LATENESS: Final = 200_000


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to stream: `pcm` (PCM16 mono at 24 kHz) over and over, each session out of step."""

    host: str
    port: int
    resource: str
    token: str
    sessions: int
    frame_ms: int
    seconds: float
    pcm: bytes
    session: dict[str, object]


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was really sent. `late_ms` is by how much frames were sent after their time."""

    sessions: int
    lost: int
    frames: int
    events: int
    refusals: int
    late_p50_ms: float
    late_p99_ms: float
    blocked: int
    cpu_s: float
    wall_s: float


def client_frame(payload: bytes) -> bytes:
    """A whole WebSocket text message as a client sends it (RFC 6455 §5.2), masked with zero."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _TEXT_FRAME, _MASKED | size)
    elif size < 65_536:
        head = struct.pack("!BBH", _TEXT_FRAME, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _TEXT_FRAME, _MASKED | 127, size)
    return head + b"\0\0\0\0" + payload


def encode_frames(pcm: bytes, frame_ms: int) -> list[bytes]:
    """`pcm` as whole frames, each an `input_audio_buffer.append`; a part of a frame is dropped."""
    size = RATE_HZ * frame_ms // 1000 * 2
    return [
        client_frame(
            b'{"type":"input_audio_buffer.append","audio":"%b"}'
            % base64.b64encode(pcm[at : at + size])
        )
        for at in range(0, len(pcm) - size + 1, size)
    ]


class _Session:
    """One connection, and where in the recording it is."""

    def __init__(self, load: Load, position: int) -> None:
        self.position = position
        self.unsent = b""
        self.events = 0
        self.refusals = 0
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self.socket = socket.create_connection((load.host, load.port), _CONNECT_S)
        try:
            self._open(load)
        except BaseException:
            self.socket.close()
            raise

    def _open(self, load: Load) -> None:
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = [(b"Authorization", b"Bearer " + load.token.encode())] if load.token else []
        host = f"{load.host}:{load.port}"
        request = Request(host=host, target=load.resource, extra_headers=headers)
        self.socket.sendall(self._protocol.send(request))
        while not self._read_greeting():
            data = self.socket.recv(_READ_BYTES)
            if not data:
                raise ConnectionError("the daemon hung up")
            self._protocol.receive_data(data)
        update = {"type": "session.update", "session": load.session}
        self.socket.sendall(client_frame(msgspec.json.encode(update)))
        self.socket.setblocking(False)

    def _read_greeting(self) -> bool:
        for event in self._protocol.events():
            if isinstance(event, AcceptConnection):
                return True
            if isinstance(event, RejectConnection):
                raise ConnectionError(f"the daemon refused with status {event.status_code}")
        return False

    def send(self, frame: bytes) -> bool:
        """Send as much as goes; False where some of it has to wait."""
        data = self.unsent + frame if self.unsent else frame
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.unsent = data[sent:]
        return not self.unsent

    def read(self) -> None:
        """Take in what has come, and answer pings. Raises `ConnectionError` when closed."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("the daemon hung up")
        self._protocol.receive_data(data)
        for event in self._protocol.events():
            if isinstance(event, TextMessage):
                self.events += event.message_finished
                self.refusals += event.data.startswith('{"type":"error"')
            elif isinstance(event, Ping):
                self.send(self._protocol.send(event.response()))
            elif isinstance(event, CloseConnection):
                raise ConnectionError(f"the daemon closed with {event.code}")


class _Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._frames = encode_frames(load.pcm, load.frame_ms)
        self._frame_s = load.frame_ms / 1000
        self._poll = select.epoll()
        self._sessions: dict[int, _Session] = {}
        self._late: list[float] = []
        self._sent = self._blocked = self._lost = 0
        self._events = self._refusals = 0

    def run(self) -> LoadReport:
        """Connect all, stream, and report."""
        begun = perf_counter()
        due: list[tuple[float, int]] = []
        connecting_s = 0.0
        for number in range(self._load.sessions):
            position = number * 7919 % len(self._frames)
            session = _Session(self._load, position)
            descriptor = session.socket.fileno()
            self._sessions[descriptor] = session
            self._poll.register(descriptor, select.EPOLLIN)
            # Out of step: even pace on the whole, as with people who began at odd times.
            phase = number / self._load.sessions * self._frame_s
            connecting_s = perf_counter() - begun
            first = begun + connecting_s // self._frame_s * self._frame_s + self._frame_s + phase
            heapq.heappush(due, (first, descriptor))
            # Those already connected speak while the others still come, and these come one by
            # one: holding sessions is measured, not a rush at the door.
            self._stream(due, perf_counter() + _BETWEEN_CONNECTS_S)
        self._tell({"connected": len(self._sessions)})
        self._late.clear()
        self._sent = self._blocked = 0
        streaming = perf_counter()
        self._poll.register(sys.stdin.fileno(), select.EPOLLIN)
        self._stream(due, streaming + self._load.seconds)
        late = self._late or [0.0]
        used = resource.getrusage(resource.RUSAGE_SELF)
        report = LoadReport(
            sessions=self._load.sessions,
            lost=self._lost,
            frames=self._sent,
            events=self._events + sum(one.events for one in self._sessions.values()),
            refusals=self._refusals + sum(one.refusals for one in self._sessions.values()),
            late_p50_ms=quantile(late, 0.5) * 1000,
            late_p99_ms=quantile(late, 0.99) * 1000,
            blocked=self._blocked,
            cpu_s=used.ru_utime + used.ru_stime,
            wall_s=perf_counter() - streaming,
        )
        for session in self._sessions.values():
            session.socket.close()
        self._poll.close()
        return report

    def _stream(self, due: list[tuple[float, int]], until: float) -> None:
        """Send every frame when it is due; read in between; until then or the end of stdin."""
        while (now := perf_counter()) < until:
            while due and due[0][0] <= now:
                at, descriptor = due[0]
                if self._send_next(descriptor, now - at):
                    heapq.heapreplace(due, (at + self._frame_s, descriptor))
                else:
                    heapq.heappop(due)
                now = perf_counter()
            wake = min(due[0][0], until) if due else until
            # At least a millisecond: looking for work more often would take the machine from
            # the daemon. A frame is late by that much at most.
            for descriptor, _ in self._poll.poll(max(wake - now, 0.001)):
                if descriptor == sys.stdin.fileno():
                    return
                self._read(descriptor)

    def _send_next(self, descriptor: int, late_s: float) -> bool:
        session = self._sessions.get(descriptor)
        if session is None:
            return False
        try:
            self._blocked += not session.send(self._frames[session.position])
        except OSError:
            self._lose(descriptor)
            return False
        session.position = (session.position + 1) % len(self._frames)
        self._sent += 1
        if len(self._late) < _KEPT_LATENESS:
            self._late.append(late_s)
        return True

    def _read(self, descriptor: int) -> None:
        try:
            self._sessions[descriptor].read()
        except OSError:
            self._lose(descriptor)

    def _lose(self, descriptor: int) -> None:
        session = self._sessions.pop(descriptor)
        self._lost += 1
        self._events += session.events
        self._refusals += session.refusals
        self._poll.unregister(descriptor)
        session.socket.close()

    @staticmethod
    def _tell(data: object) -> None:
        sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
        sys.stdout.flush()


def main(lines: Sequence[str] | None = None) -> int:
    """Run the load that standard input describes; 1 where the sessions cannot be opened."""
    line = sys.stdin.readline() if lines is None else lines[0]
    load = msgspec.json.decode(line, type=Load)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        report = _Generator(load).run()
    except OSError as exc:
        print(f"cannot open {load.sessions} sessions: {exc}", file=sys.stderr)
        return 1
    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
