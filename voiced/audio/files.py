"""WAV files in and out: any rate, width and channel count in, PCM16 mono out.

The standard library's `wave` reads neither float nor, before Python 3.12, extensible files;
both are what ordinary recorders write. So the few RIFF chunks that matter are read here.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
import soxr
from numpy.typing import NDArray

from voiced.errors import AudioError

if TYPE_CHECKING:
    from pathlib import Path

MAX_WAV_BYTES: Final = 1 << 30
_MIN_RATE_HZ: Final = 1_000
_MAX_RATE_HZ: Final = 768_000
_MAX_CHANNELS: Final = 64

_PCM: Final = 1
_FLOAT: Final = 3
_EXTENSIBLE: Final = 0xFFFE


class Recording(msgspec.Struct, frozen=True):
    """Mono sound: `samples` is float32 of shape (n,), full scale at -1 and 1."""

    samples: NDArray[np.float32]
    rate_hz: int

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.rate_hz


class _Format(msgspec.Struct, frozen=True):
    kind: int
    channels: int
    rate_hz: int
    frame_bytes: int
    bits: int


def read_wav(path: Path) -> Recording:
    """Read a WAV file and mix its channels to one.

    Integers of 8, 16, 24 and 32 bits, floats of 32 and 64. Raises `AudioError`, naming the
    file, where it cannot be opened, is not a WAV file, is larger than `MAX_WAV_BYTES`, or
    holds something else than linear samples.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_WAV_BYTES:
                raise AudioError(f"{path}: larger than {MAX_WAV_BYTES >> 20} MiB")
            data = file.read(MAX_WAV_BYTES)
    except OSError as exc:
        raise AudioError(f"{path}: {exc.strerror or exc}", public="the file is unreadable") from exc
    try:
        return parse_wav(data)
    except AudioError as exc:
        raise AudioError(f"{path}: {exc}", public=exc.public) from None


def parse_wav(data: bytes) -> Recording:
    """The sound in the bytes of a WAV file. Raises `AudioError` saying what is wrong.

    A data chunk that claims more than there is, as a file cut short or written to a pipe
    has, gives the whole frames that are there.
    """
    if len(data) < 12 or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise AudioError("not a WAV file")
    form: _Format | None = None
    offset = 12
    while offset + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, offset)
        body = memoryview(data)[offset + 8 : offset + 8 + size]
        if name == b"fmt ":
            form = _parse_format(body)
        elif name == b"data":
            if form is None:
                raise AudioError("the WAV file has samples before their format")
            return Recording(_to_mono(body, form), form.rate_hz)
        offset += 8 + size + (size & 1)
    raise AudioError("the WAV file holds no samples")


def read_pcm16(path: Path, rate_hz: int) -> bytes:
    """Read a WAV file as signed 16-bit little-endian mono at `rate_hz`. Raises `AudioError`."""
    return to_pcm16(read_wav(path), rate_hz)


def to_pcm16(recording: Recording, rate_hz: int) -> bytes:
    """`recording` resampled (soxr, high quality) to `rate_hz`, as PCM16 bytes, clipped."""
    samples = recording.samples
    if recording.rate_hz != rate_hz and len(samples):
        samples = soxr.resample(samples, recording.rate_hz, rate_hz, quality="HQ")
    scaled = np.rint(samples * 32768.0)
    pcm: NDArray[np.int16] = np.clip(scaled, -32768, 32767).astype("<i2")
    return pcm.tobytes()


def encode_wav(pcm: bytes, rate_hz: int) -> bytes:
    """A WAV file holding `pcm`: signed 16-bit little-endian mono at `rate_hz`."""
    if len(pcm) % 2:
        raise AudioError("PCM16 audio has an odd number of bytes")
    if len(pcm) > 0xFFFFFFFF - 36:
        raise AudioError("too much audio for a WAV file")
    fmt = struct.pack("<HHIIHH", _PCM, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(fmt)),
            fmt,
            struct.pack("<4sI", b"data", len(pcm)),
            pcm,
        )
    )


def write_wav(path: Path, pcm: bytes, rate_hz: int) -> None:
    """Write PCM16 mono to `path`, replacing it. Raises `AudioError` where that fails."""
    write_file(path, encode_wav(pcm, rate_hz))


def write_file(path: Path, data: bytes | bytearray) -> None:
    """Write a whole file, replacing what is there. Raises `AudioError` where that fails."""
    try:
        path.write_bytes(data)
    except OSError as exc:
        raise AudioError(
            f"{path}: {exc.strerror or exc}", public="the file cannot be written"
        ) from exc


def _parse_format(body: memoryview) -> _Format:
    if len(body) < 16:
        raise AudioError("the WAV file's format chunk is too short")
    kind, channels, rate_hz, _, frame_bytes, bits = struct.unpack_from("<HHIIHH", body)
    if kind == _EXTENSIBLE:
        if len(body) < 26:
            raise AudioError("the WAV file's extensible format chunk is too short")
        # The real format is the first field of the sub-format GUID.
        (kind,) = struct.unpack_from("<H", body, 24)
    if not 0 < channels <= _MAX_CHANNELS:
        raise AudioError(f"the WAV file claims {channels} channels")
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        raise AudioError(f"the WAV file claims {rate_hz} samples a second")
    if (kind, bits) not in _DECODERS:
        raise AudioError(
            f"WAV format {kind} with {bits} bits is not supported; linear PCM of 8, 16, 24 or 32"
            " bits and float of 32 or 64 are"
        )
    if frame_bytes != channels * bits // 8:
        raise AudioError("the WAV file's format chunk contradicts itself")
    return _Format(kind, channels, rate_hz, frame_bytes, bits)


def _to_mono(body: memoryview, form: _Format) -> NDArray[np.float32]:
    whole = len(body) - len(body) % form.frame_bytes
    samples = _DECODERS[form.kind, form.bits](body[:whole])
    mono: NDArray[np.float32] = samples.reshape(-1, form.channels).mean(axis=1, dtype=np.float32)
    if form.kind == _FLOAT and not np.isfinite(mono).all():
        raise AudioError("the WAV file holds samples that are not numbers")
    return mono


def _decode_u8(body: memoryview) -> NDArray[np.float32]:
    return (np.frombuffer(body, np.uint8).astype(np.float32) - 128.0) / 128.0


def _decode_s16(body: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(body, "<i2").astype(np.float32) / 32768.0


def _decode_s24(body: memoryview) -> NDArray[np.float32]:
    octets = np.frombuffer(body, np.uint8).reshape(-1, 3)
    # The three octets become the upper ones of a 32-bit integer, which carries the sign.
    padded = np.zeros((len(octets), 4), np.uint8)
    padded[:, 1:] = octets
    return padded.view("<i4")[:, 0].astype(np.float32) / 2147483648.0


def _decode_s32(body: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(body, "<i4").astype(np.float32) / 2147483648.0


def _decode_float(body: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(body, "<f4").astype(np.float32)


def _decode_double(body: memoryview) -> NDArray[np.float32]:
    return np.frombuffer(body, "<f8").astype(np.float32)


_DECODERS: Final[dict[tuple[int, int], Any]] = {
    (_PCM, 8): _decode_u8,
    (_PCM, 16): _decode_s16,
    (_PCM, 24): _decode_s24,
    (_PCM, 32): _decode_s32,
    (_FLOAT, 32): _decode_float,
    (_FLOAT, 64): _decode_double,
}
