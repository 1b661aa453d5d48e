"""The audio formats of the Realtime protocol, as bytes on the wire.

Inside voiced sound is 16-bit samples; what a client sends and gets is one of these. All count
of milliseconds in what came or goes out goes through here, since a byte is 1/48 ms in one format
and 1/8 ms in the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from voiced.audio import g711
from voiced.audio.pcm import SAMPLE_BYTES, WIRE_HZ

FormatName = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]


class WireFormat(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Mono audio of one rate. `silence` is one sample of it.

    `decode` takes whole samples and gives int16 of shape (n,); `encode` is its inverse, as far
    as the format allows.
    """

    name: FormatName
    rate_hz: int
    sample_bytes: int
    silence: bytes
    decode: Callable[[bytes], NDArray[np.int16]]
    encode: Callable[[NDArray[np.int16]], bytes]

    def duration_ms(self, size_bytes: int) -> float:
        """Milliseconds that so many bytes last."""
        return size_bytes * 1000 / (self.sample_bytes * self.rate_hz)

    def bytes_for_ms(self, milliseconds: float) -> int:
        """Bytes of whole samples that last at most so long."""
        return int(milliseconds * self.rate_hz / 1000) * self.sample_bytes

    def samples(self, size_bytes: int) -> int:
        """Whole samples in so many bytes."""
        return size_bytes // self.sample_bytes


def _decode_pcm(pcm: bytes) -> NDArray[np.int16]:
    return np.frombuffer(pcm, "<i2")


def _encode_pcm(samples: NDArray[np.int16]) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


PCM: Final = WireFormat(
    name="audio/pcm",
    rate_hz=WIRE_HZ,
    sample_bytes=SAMPLE_BYTES,
    silence=bytes(SAMPLE_BYTES),
    decode=_decode_pcm,
    encode=_encode_pcm,
)
"""Signed 16-bit little-endian at 24 kHz: 48 bytes a millisecond."""

PCMU: Final = WireFormat(
    name="audio/pcmu",
    rate_hz=g711.HZ,
    sample_bytes=1,
    silence=bytes([g711.MULAW_SILENCE]),
    decode=g711.decode_mulaw,
    encode=g711.encode_mulaw,
)
"""G.711 µ-law: 8 bytes a millisecond."""

PCMA: Final = WireFormat(
    name="audio/pcma",
    rate_hz=g711.HZ,
    sample_bytes=1,
    silence=bytes([g711.ALAW_SILENCE]),
    decode=g711.decode_alaw,
    encode=g711.encode_alaw,
)
"""G.711 A-law: 8 bytes a millisecond."""

FORMATS: Final[dict[FormatName, WireFormat]] = {form.name: form for form in (PCM, PCMU, PCMA)}


def wire_format(named: msgspec.Struct) -> WireFormat:
    """The format that a format object of the protocol names by its tag; `KeyError` for others."""
    name: FormatName = named.__struct_config__.tag  # type: ignore[assignment]
    return FORMATS[name]
