"""Frames between the daemon and a process that decodes or encodes audio. Sans-I/O.

Framed as engines are: a big-endian 32-bit length and that many bytes of msgpack.
"""

from __future__ import annotations

import msgspec

from voiced.engines.wire import HEADER_BYTES, MAX_FRAME_BYTES, FrameReader
from voiced.turns.detector import Memory

LONGEST_STRETCH_S = 300.0
"""Bound on one stretch: 9.6 MB of PCM, which fits into a frame."""

STRETCH_S = 30.0
"""Where somebody speaks without a pause: what Whisper takes at once, and a bound for latency."""

SPEECH_S = 3_600.0
"""More than any reply, or any text that is sent to be spoken at once, lasts."""

assert LONGEST_STRETCH_S * 32_000 < MAX_FRAME_BYTES - 1_024


class _Message(msgspec.Struct, gc=False, tag=str.lower, tag_field="op"):
    """Base of every message. Untracked by the collector: decoded data holds no cycles."""


# -- where the cutting of a recording stands ---------------------------------------------


class CutPoint(msgspec.Struct, frozen=True, kw_only=True):
    """All that the cutting of a recording remembers behind one of its stretches.

    Who cuts on from here finds the same stretches, to the sample, as who never stopped: what was
    listened to need not be listened to again, only be decoded. It is the state between two batches;
    `passed` counts the stretches that lie behind all the same, since they ended within the batch
    that comes next. Places are samples at 16 kHz from the start of the recording.
    """

    passed: int
    kept_from: int
    open: tuple[int, int] | None
    end: int
    probabilities: bytes
    """Of speech, for the chunks from `kept_from` on: float32."""
    listener: bytes
    """What Silero remembers."""
    detector: Memory


# -- what to do, on the command line as JSON ----------------------------------------------


class DecodeJob(msgspec.Struct, frozen=True, kw_only=True):
    """Read a recording and cut it into stretches of speech.

    `whole` takes silence along: the recording is cut only where it must be, after `longest_s`.
    """

    max_s: float
    """Recordings that last longer fail."""
    threshold: float = 0.5
    silence_ms: int = 200
    prefix_ms: int = 300
    acoustic_end: bool = True
    longest_s: float = STRETCH_S
    whole: bool = False
    resume: CutPoint | None = None
    """Go on behind the stretch that this came with; all else must be as it was then."""


class EncodeJob(msgspec.Struct, frozen=True, kw_only=True):
    """Encode PCM16 mono at `rate_hz` as `format`, one of `voiced.media.encode.CODECS`."""

    format: str
    rate_hz: int
    longest_s: float = SPEECH_S
    """Of speech; the processor time that it may take goes by that."""


# -- daemon to child, encoding only -------------------------------------------------------


class Pcm(_Message):
    """More PCM16 mono to encode."""

    pcm: bytes


class End(_Message):
    """No more will come; answered by what is left, and `Done`."""


# -- child to daemon ----------------------------------------------------------------------


class Began(_Message):
    """The first message: the process is ready. What goes wrong from here is the recording's."""


class Opened(_Message):
    """The recording could be opened; `duration_s` is what it claims, if it claims anything."""

    container: str
    codec: str
    duration_s: float | None


class Stretch(_Message):
    """Speech with a little of what surrounds it: PCM16 mono at 16 kHz.

    All times are seconds from the start of the recording. `pcm` lasts from `start_s` to `end_s`,
    the speech in it from `speech_start_s` to `speech_end_s`; `speech_prob` is the mean
    probability of speech there, by Silero. `after` is where the cutting stands behind it.
    """

    start_s: float
    end_s: float
    speech_start_s: float
    speech_end_s: float
    speech_prob: float
    pcm: bytes
    after: CutPoint


class Progress(_Message):
    """So much of the recording has been read."""

    position_s: float


class Data(_Message):
    """More of the encoded file."""

    data: bytes


class Done(_Message):
    """The end; `duration_s` of audio went through. Nothing is complete without it."""

    duration_s: float


class Failed(_Message):
    """It cannot be done. `message` is for whoever sent the recording."""

    message: str


FromChild = Began | Opened | Stretch | Progress | Data | Done | Failed
ToChild = Pcm | End

_encoder = msgspec.msgpack.Encoder()


def encode(message: FromChild | ToChild) -> bytes:
    """The message as one frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


def child_reader() -> FrameReader[ToChild]:
    """A reader for the child's side: what the daemon sends."""
    decoder: msgspec.msgpack.Decoder[ToChild] = msgspec.msgpack.Decoder(ToChild)
    return FrameReader(decoder)


def daemon_reader() -> FrameReader[FromChild]:
    """A reader for the daemon's side: what the child sends."""
    decoder: msgspec.msgpack.Decoder[FromChild] = msgspec.msgpack.Decoder(FromChild)
    return FrameReader(decoder)
