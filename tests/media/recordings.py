"""Recordings of many kinds, made on the spot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np

from voiced.audio.files import encode_wav

if TYPE_CHECKING:
    from pathlib import Path

TONE_HZ = 440.0


def tone(seconds: float, rate_hz: int = 24_000) -> bytes:
    """A tone, as PCM16 mono."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    return (8000 * np.sin(2 * np.pi * TONE_HZ * t)).astype("<i2").tobytes()


def pitch_hz(pcm: bytes, rate_hz: int) -> float:
    """The strongest frequency in PCM16 mono."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)


def make_recording(
    path: Path,
    pcm: bytes,
    rate_hz: int,
    *,
    codec: str | None,
    video: str | None = None,
    stored_hz: int = 48_000,
    layout: str = "stereo",
) -> Path:
    """A file of the kind that its name says, with that sound in it, and maybe a picture."""
    with av.open(str(path), "w") as container:
        picture = _add_picture(container, video) if video else None
        sound = _add_sound(container, codec, stored_hz, layout) if codec else None
        container.start_encoding()
        if picture is not None:
            for number in range(round(len(pcm) / 2 / rate_hz * 25)):
                plain = np.full((64, 64, 3), number % 255, np.uint8)
                container.mux(picture.encode(av.VideoFrame.from_ndarray(plain, format="rgb24")))
            container.mux(picture.encode(None))
        if sound is not None:
            _write_sound(container, sound, _wav(path, pcm, rate_hz))
    return path


def _add_picture(container: av.container.OutputContainer, codec: str) -> av.VideoStream:
    picture = container.add_stream(codec, rate=25)
    assert isinstance(picture, av.VideoStream)
    picture.width = picture.height = 64
    picture.pix_fmt = "yuv420p"
    return picture


def _add_sound(
    container: av.container.OutputContainer, codec: str, rate_hz: int, layout: str
) -> av.AudioStream:
    sound = container.add_stream(codec, rate=rate_hz, layout=layout)
    assert isinstance(sound, av.AudioStream)
    return sound


def _write_sound(
    container: av.container.OutputContainer, sound: av.AudioStream, source: str
) -> None:
    context = sound.codec_context
    shaper = av.AudioResampler(
        format=context.format,
        layout=context.layout,
        rate=context.sample_rate,
        frame_size=context.frame_size,
    )
    with av.open(source, "r") as recording:
        for frame in [*recording.decode(audio=0), None]:
            for shaped in shaper.resample(frame):
                container.mux(sound.encode(shaped))
    container.mux(sound.encode(None))


def _wav(path: Path, pcm: bytes, rate_hz: int) -> str:
    plain = path.with_suffix(".source.wav")
    plain.write_bytes(encode_wav(pcm, rate_hz))
    return str(plain)
