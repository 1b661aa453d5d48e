"""PCM to an audio file while it is made, with FFmpeg through PyAV. Runs in the child only.

Nothing is ever sought back to: lengths that stand in a file's head are left out or unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Codec(msgspec.Struct, frozen=True):
    """How FFmpeg calls what makes a format; `bit_rate` 0 leaves it to the codec."""

    container: str
    codec: str
    bit_rate: int = 0
    container_options: dict[str, str] = {}
    codec_options: dict[str, str] = {}


CODECS = {
    # Without a Xing frame, which would have to be filled in at the end, nor tags.
    "mp3": Codec("mp3", "libmp3lame", 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    # An Ogg page every 100 ms: by default a second of sound would wait to be sent.
    "opus": Codec("ogg", "libopus", 40_000, {"page_duration": "100000"}, {"application": "voip"}),
    "aac": Codec("adts", "aac", 64_000),
    "flac": Codec("flac", "flac"),
}


def rehearse(codec: Codec) -> None:
    """Encode a little silence, so that PyAV imports all that it imports when first used."""
    encode_audio([bytes(960)], codec, 24_000, lambda data: None)


class _Sink:
    """The file that FFmpeg writes to. Without `seek`: what is written has left."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def write(self, data: bytes) -> int:
        self._send(bytes(data))
        return len(data)


def encode_audio(
    pcm: Iterable[bytes], codec: Codec, rate_hz: int, send: Callable[[bytes], None]
) -> float:
    """Encode portions of PCM16 mono at `rate_hz` and `send` the file as it grows.

    Returns its duration in seconds; a recording of nothing is a file of no samples. An odd
    byte at the end of a portion is kept for the next one.
    """
    samples = 0
    options = codec.container_options
    with av.open(_Sink(send), "w", format=codec.container, options=options) as container:
        stream = container.add_stream(
            codec.codec, rate=rate_hz, layout="mono", options=codec.codec_options
        )
        assert isinstance(stream, av.AudioStream)
        context = stream.codec_context
        context.thread_count = 1
        if codec.bit_rate:
            context.bit_rate = codec.bit_rate
        context.open()
        container.start_encoding()
        shaper = av.AudioResampler(
            format=context.format, layout="mono", rate=rate_hz, frame_size=context.frame_size
        )

        def put(frame: av.AudioFrame | None) -> None:
            for shaped in shaper.resample(frame):
                container.mux(stream.encode(shaped))

        for portion in whole_samples(pcm):
            put(make_frame(portion, rate_hz, samples))
            samples += len(portion) // 2
        if samples:
            put(None)
        container.mux(stream.encode(None))
    return samples / rate_hz


def make_frame(pcm: bytes, rate_hz: int, position: int) -> av.AudioFrame:
    """An FFmpeg frame of PCM16 mono that begins at sample `position`."""
    frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    plane = frame.planes[0]
    plane.update(pcm.ljust(plane.buffer_size, b"\0"))  # padded for alignment
    frame.sample_rate = rate_hz
    frame.pts = position
    return frame


def whole_samples(pcm: Iterable[bytes]) -> Iterator[bytes]:
    """The same PCM16 in portions of whole samples, none of them empty."""
    odd = b""
    for portion in pcm:
        joined = odd + portion
        whole = len(joined) & ~1
        odd = joined[whole:]
        if whole:
            yield joined[:whole]
