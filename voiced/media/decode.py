"""Any audio or video file to PCM16 mono at 16 kHz, with FFmpeg through PyAV. In the child only.

The file is what somebody has sent. Formats that name other files or addresses (playlists and
the like) are not among those that are opened, nor is any protocol allowed; the process around
this could not open anything either (`voiced.media.confine`).
"""

from __future__ import annotations

import io
from typing import IO, TYPE_CHECKING, Final

import av
import msgspec

from voiced.audio.pcm import SPEECH_HZ
from voiced.errors import AudioError
from voiced.media.wav import wav_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONTAINERS: Final = (
    "3gp", "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "dsf", "eac3", "flac",
    "flv", "loas", "m4a", "matroska", "mov", "mp3", "mp4", "mpc", "mpc8", "mpeg", "mpegts", "ogg",
    "tta", "w64", "wav", "webm", "wv",
)  # fmt: skip
"""FFmpeg's names of the formats that are read. All hold their sound themselves."""

_OPTIONS: Final = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}

GAP_S: Final = 0.1
"""A jump of the time stamps by more is sound that is missing, and becomes silence."""

_SILENT_S: Final = 10.0  # of it made at once


def rehearse() -> None:
    """Decode a little silence, so that PyAV imports all that it imports when first used."""
    import av.subtitles.stream
    import av.video.stream  # noqa: F401

    silence = io.BytesIO(wav_head(8_000) + bytes(1_600))
    for _ in decode_audio(silence, lambda source: None):
        pass


class Source(msgspec.Struct, frozen=True):
    """What was found in a file. `duration_s` is what it claims, None where it does not say."""

    container: str
    codec: str
    duration_s: float | None


def decode_audio(file: IO[bytes], opened: Callable[[Source], None]) -> Iterator[bytes]:
    """Yield the sound of the first audio stream in portions of PCM16 mono at 16 kHz.

    The file's name and type do not matter, what is in it does. Its channels are mixed. A file
    that was cut short, or is damaged inside, gives what is left of it. Raises `AudioError` where
    there is no sound to be had.
    """
    try:
        container = av.open(file, "r", options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, ValueError, OSError) as exc:
        raise AudioError(f"FFmpeg cannot open it: {exc}", public=_UNREADABLE) from exc
    with container:
        if not container.streams.audio:
            raise AudioError("there is no sound in the file")
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        duration_s = None if container.duration is None else container.duration / av.time_base
        opened(Source(container.format.name, stream.codec_context.name, duration_s))
        heard = False
        mixer = _Mixer()
        for frame in _frames(container, stream):
            for pcm in mixer.put(frame):
                heard = True
                yield pcm
        for pcm in mixer.flush():
            heard = True
            yield pcm
        if not heard:
            raise AudioError("no sound could be decoded", public=_UNREADABLE)


_UNREADABLE: Final = (
    "The file could not be read. It must be sound, or video with sound, in a common format: "
    "wav, mp3, m4a, mp4, ogg, opus, flac, webm and the like."
)


def _frames(
    container: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    """Decode what can be decoded: a damaged packet is passed over, a damaged file ends there."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            assert isinstance(frame, av.AudioFrame)
            yield frame


class _Mixer:
    """Frames of any rate, layout and format to one; gaps between them to silence."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        self._expected_s: float | None = None

    def put(self, frame: av.AudioFrame) -> Iterator[bytes]:
        if frame.sample_rate <= 0 or frame.samples <= 0:
            return
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:  # as between the parts of a radio recording
            yield from self.flush()
            self._form = form
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SPEECH_HZ)
        yield from self._silence(frame)
        assert self._resampler is not None
        frame.pts = None
        for mixed in self._resampler.resample(frame):
            yield _pcm(mixed)

    def flush(self) -> Iterator[bytes]:
        if self._resampler is not None:
            for mixed in self._resampler.resample(None):
                yield _pcm(mixed)
            self._resampler = None

    def _silence(self, frame: av.AudioFrame) -> Iterator[bytes]:
        lasts_s = frame.samples / frame.sample_rate
        at_s = frame.time
        if at_s is None:
            at_s = self._expected_s or 0.0
        missing_s = 0.0 if self._expected_s is None else at_s - self._expected_s
        # From a frame that jumps back, or one that starts again at zero, time goes on from there.
        self._expected_s = at_s + lasts_s if abs(missing_s) > GAP_S else self._next(lasts_s, at_s)
        while missing_s > GAP_S:
            piece_s = min(missing_s, _SILENT_S)
            missing_s -= piece_s
            yield bytes(2 * round(piece_s * SPEECH_HZ))

    def _next(self, lasts_s: float, at_s: float) -> float:
        """Count by samples: time stamps are rounded."""
        return (at_s if self._expected_s is None else self._expected_s) + lasts_s


def _pcm(frame: av.AudioFrame) -> bytes:
    return bytes(memoryview(frame.planes[0])[: frame.samples * 2])
