"""Many observers in one process: `python -m voiced.bench.observers`.

Reads a `Watchers` as JSON from standard input, one line; writes JSON lines to standard output:
`{"connected": N}` when all watch, then at the end a `Seen`. Ends when standard input does.

One thread, one epoll, and next to no work for each message, so that the machine is left to the
daemon and the time at which a message came is not that of a busy client.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import msgspec
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, RejectConnection, Request

from voiced.bench.causing import CODE, Stamp

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_S: Final = 30.0
READ_BYTES: Final = 65_536
TEXT: Final = 0x81
CLOSE: Final = 0x88

_STAMP: Final = msgspec.json.Decoder(Stamp)


class Watchers(msgspec.Struct, frozen=True, kw_only=True):
    """How many watch which daemon, and for how long after a while, once all are connected."""

    host: str
    port: int
    resource: str
    token: str
    observers: int
    settle_s: float
    seconds: float


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What came of what was caused in the window. `missing` counts warnings and errors that others
    got, `merged` messages that stood for more, `behind` what was left out for somebody."""

    latencies_ms: list[float]
    missing: int
    merged: int
    behind: int
    lost: int
    messages: int


class Message(msgspec.Struct):
    """As much of a message as is looked at."""

    type: str
    payload: dict[str, Any]


_MESSAGE: Final = msgspec.json.Decoder(Message)


class _Observer:
    """One connection, and the beginning of a frame that has not come whole."""

    def __init__(self, watchers: Watchers) -> None:
        self.socket = socket.create_connection((watchers.host, watchers.port), CONNECT_S)
        self._rest = b""
        try:
            self._open(watchers)
        except BaseException:
            self.socket.close()
            raise

    def _open(self, watchers: Watchers) -> None:
        token = watchers.token.encode()
        headers = [(b"Authorization", b"Bearer " + token)] if token else []
        host = f"{watchers.host}:{watchers.port}"
        protocol = WSConnection(ConnectionType.CLIENT)
        target = f"{watchers.resource}?intent=insights"
        self.socket.sendall(protocol.send(Request(host=host, target=target, extra_headers=headers)))
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(READ_BYTES)
            if not more:
                raise ConnectionError("the daemon hung up")
            data += more
        head, _, self._rest = data.partition(b"\r\n\r\n")
        protocol.receive_data(head + b"\r\n\r\n")
        (answer,) = protocol.events()
        if not isinstance(answer, AcceptConnection):
            status = answer.status_code if isinstance(answer, RejectConnection) else "no status"
            raise ConnectionError(f"the daemon refused: {status}")
        self.socket.setblocking(False)

    def read(self) -> Iterator[bytes]:
        """The messages that have come. Raises `ConnectionError` at the end."""
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionError("the daemon hung up")
        buffer = self._rest + data
        at = 0
        while (frame := frame_at(buffer, at)) is not None:
            opcode, begin, at = frame
            if opcode == CLOSE:
                raise ConnectionError("the daemon closed")
            if opcode == TEXT:  # a ping goes unanswered: the window is shorter than its patience
                yield buffer[begin:at]
        self._rest = buffer[at:]


def frame_at(buffer: bytes, at: int) -> tuple[int, int, int] | None:
    """The first byte of a server's frame, and where its payload begins and ends (RFC 6455, 5.2);
    None where it is not whole."""
    if len(buffer) < at + 2:
        return None
    size, begin = buffer[at + 1], at + 2
    if size >= 126:
        width = 2 if size == 126 else 8
        if len(buffer) < begin + width:
            return None
        size, begin = int.from_bytes(buffer[begin : begin + width], "big"), begin + width
    return None if len(buffer) < begin + size else (buffer[at], begin, begin + size)


class Log:
    """What all observers got of what was caused in one window of time."""

    def __init__(self, began_ns: int, ended_ns: int) -> None:
        self._began_ns, self._ended_ns = began_ns, ended_ns
        self.latencies_ms: list[float] = []
        self.merged = self.behind = self.messages = 0
        self._lasting: dict[int, set[int]] = defaultdict(set)

    def take(self, observer: int, data: bytes, now_ns: int) -> None:
        """A message came then."""
        message = _MESSAGE.decode(data)
        payload = message.payload
        self.messages += self._began_ns <= now_ns < self._ended_ns
        if payload.get("code") == "observer_behind":
            self.behind += int(payload["coalesced"])
        named = payload.get("code") or payload.get("name") or payload.get("job_id") or ""
        if not str(named).startswith(CODE):
            return
        words = payload.get("message") or payload.get("reason") or payload.get("text")
        stamp = _STAMP.decode(str(words))
        if not self._began_ns <= stamp.at_ns < self._ended_ns:
            return
        self.latencies_ms.append((now_ns - stamp.at_ns) / 1e6)
        self.merged += bool(payload["coalesced"])
        if message.type in ("warning", "error"):
            self._lasting[observer].add(stamp.number)

    def missing(self, observers: int) -> int:
        """Of the warnings and errors that anybody got: those that others did not."""
        everything = set().union(*self._lasting.values())
        return sum(len(everything - self._lasting[one]) for one in range(observers))


def watch(watchers: Watchers) -> Seen:
    """Connect all, read until standard input ends, and tell what came."""
    observers = [_Observer(watchers) for _ in range(watchers.observers)]
    tell({"connected": len(observers)})
    began_ns = time.monotonic_ns() + round(watchers.settle_s * 1e9)
    log = Log(began_ns, began_ns + round(watchers.seconds * 1e9))
    numbers = {one.socket.fileno(): number for number, one in enumerate(observers)}
    lost = 0
    with select.epoll() as poll:
        poll.register(sys.stdin.fileno(), select.EPOLLIN)
        for descriptor in numbers:
            poll.register(descriptor, select.EPOLLIN)
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if sys.stdin.fileno() in ready:
                break
            for descriptor in ready:
                number = numbers[descriptor]
                try:
                    for data in observers[number].read():
                        log.take(number, data, time.monotonic_ns())
                except OSError:
                    poll.unregister(descriptor)
                    lost += 1
    for one in observers:
        one.socket.close()
    return Seen(
        latencies_ms=log.latencies_ms,
        missing=log.missing(len(observers)),
        merged=log.merged,
        behind=log.behind,
        lost=lost,
        messages=log.messages,
    )


def tell(data: object) -> None:
    """One line to whoever measures."""
    sys.stdout.write(msgspec.json.encode(data).decode() + "\n")
    sys.stdout.flush()


def main() -> int:
    """Watch as standard input says; 1 where the daemon cannot be watched."""
    watchers = msgspec.json.decode(sys.stdin.readline(), type=Watchers)
    try:
        tell(watch(watchers))
    except OSError as error:
        print(f"cannot watch with {watchers.observers} observers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
