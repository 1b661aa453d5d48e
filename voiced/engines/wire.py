"""Frames between the daemon and an engine's process. Sans-I/O, shared by both sides.

A frame is a big-endian 32-bit length and that many bytes of msgpack: a map with `op` and the
fields of one of the structs below. Audio is carried as raw bytes. Ids are chosen by the
daemon, are never used twice in the life of a process, and are positive.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from voiced.engines.ports import EngineInfo

HEADER_BYTES = 4

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""Bound on one frame, either way. Text sent by accident as a length is far above it."""


class FrameError(Exception):
    """The bytes are no frame, the frame is no message, or it is larger than allowed."""


class _Message(msgspec.Struct, gc=False, tag=str.lower, tag_field="op"):
    """Base of every message. Untracked by the collector: decoded data holds no cycles."""


# -- daemon to child ----------------------------------------------------------------------


class Start(_Message, kw_only=True):
    """The first frame: which class to load (`module:Class`) and what to call it with."""

    target: str
    options: dict[str, Any] = {}
    nice: int = 0


class Run(_Message):
    """Begin one request: `call` is the port's operation (transcribe, reply, speak)."""

    id: int
    call: str
    params: dict[str, Any]


class Audio(_Message):
    """More audio for a running request."""

    id: int
    pcm: bytes


class End(_Message):
    """No more audio will come for this request."""

    id: int


class Ask(_Message):
    """What has been heard of this request's audio so far? Answered by a `Part`, or not at all."""

    id: int


class Cancel(_Message):
    """Stop this request; answered by `Cancelled`, or by the answer that was on its way."""

    id: int


class Ping(_Message):
    """Answered by `Pong` at once, whether a request runs or not."""

    id: int


class Stop(_Message):
    """Exit now."""


# -- child to daemon ----------------------------------------------------------------------


class Ready(_Message):
    """The model is loaded and warm."""

    info: EngineInfo


class Fail(_Message):
    """The engine cannot be loaded; the process ends. `message` is for the operator."""

    code: str
    message: str


class Part(_Message):
    """One streamed piece of a result."""

    id: int
    data: dict[str, Any]


class Done(_Message):
    """The request is finished. The id is free, and so is its slot."""

    id: int
    result: dict[str, Any]


class Error(_Message):
    """The request failed; `message` may be shown to a client. The slot is free."""

    id: int
    code: str
    message: str


class Cancelled(_Message):
    """The request was cancelled and nothing of it runs any more. The slot is free."""

    id: int


class Pong(_Message):
    """Answer to `Ping`."""

    id: int


ToChild = Start | Run | Audio | Ask | End | Cancel | Ping | Stop
FromChild = Ready | Fail | Part | Done | Error | Cancelled | Pong

_encoder = msgspec.msgpack.Encoder()


def encode(message: ToChild | FromChild) -> bytes:
    """The message as one frame. Raises `FrameError` if it is too large or not encodable."""
    try:
        body = _encoder.encode(message)
    except (TypeError, ValueError, OverflowError) as exc:
        raise FrameError(f"cannot be sent: {exc}") from exc
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(f"a message of {len(body)} bytes is above {MAX_FRAME_BYTES}")
    return len(body).to_bytes(HEADER_BYTES, "big") + body


_MessageT = TypeVar("_MessageT")


class FrameReader(Generic[_MessageT]):
    """Bytes in, messages out; of no use after it has raised `FrameError`."""

    def __init__(
        self,
        decoder: msgspec.msgpack.Decoder[_MessageT],
        max_frame_bytes: int = MAX_FRAME_BYTES,
    ) -> None:
        self._decoder = decoder
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[_MessageT]:
        """Add bytes as they came; return the messages completed by them, in order.

        Raises `FrameError` for a length above the bound, before the body is awaited, and for
        a body that is not one of the expected messages.
        """
        buffer = self._buffer
        buffer += data
        messages: list[_MessageT] = []
        start = 0
        with memoryview(buffer) as view:
            while len(view) - start >= HEADER_BYTES:
                body = start + HEADER_BYTES
                size = int.from_bytes(view[start:body], "big")
                if size > self._max_frame_bytes:
                    raise FrameError(f"a frame of {size} bytes is above {self._max_frame_bytes}")
                if len(view) - body < size:
                    break
                try:
                    messages.append(self._decoder.decode(view[body : body + size]))
                except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
                    raise FrameError(f"not a message: {exc}") from exc
                start = body + size
        del buffer[:start]
        return messages


def child_reader() -> FrameReader[ToChild]:
    """A reader for the child's side: what the daemon sends."""
    decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
    return FrameReader(decoder)


def host_reader() -> FrameReader[FromChild]:
    """A reader for the daemon's side: what the child sends."""
    decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
    return FrameReader(decoder)
