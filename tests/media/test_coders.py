"""Decoding and encoding in processes of their own: every format, both ways, and what is none."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from typing import TYPE_CHECKING

import av
import numpy as np
import psutil
import pytest
import trio

from tests.media.recordings import TONE_HZ, make_recording, pitch_hz, tone
from tests.patience import CEILING_S
from voiced.audio.files import encode_wav
from voiced.errors import AudioError, MediaError
from voiced.media import coders, wire
from voiced.media.coders import open_decoder, open_encoder
from voiced.media.encode import CODECS
from voiced.media.wav import wav_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


WHOLE = wire.DecodeJob(max_s=7_200, whole=True)


async def decode(path: Path, job: wire.DecodeJob = WHOLE) -> tuple[list[wire.Stretch], float]:
    """Its stretches, and how long it says the recording is."""
    stretches = []
    with trio.fail_after(CEILING_S), path.open("rb") as file:
        async with open_decoder(file.fileno(), job) as coder:
            while not isinstance(message := await coder.receive(), wire.Done):
                if isinstance(message, wire.Stretch):
                    stretches.append(message)
    return stretches, message.duration_s


async def decode_pcm(path: Path) -> bytes:
    stretches, duration_s = await decode(path)
    pcm = b"".join(stretch.pcm for stretch in stretches)
    assert len(pcm) / 32_000 == pytest.approx(duration_s, abs=0.04)
    return pcm


async def encode(pcm: bytes, file_format: str, rate_hz: int = 24_000) -> list[bytes]:
    """The encoded file, in the pieces in which it came."""
    pieces: list[bytes] = []
    with trio.fail_after(CEILING_S):
        async with open_encoder(file_format, rate_hz) as coder:
            for start in range(0, len(pcm), 9_601):  # odd: samples are cut in two
                await coder.send(wire.Pcm(pcm[start : start + 9_601]))
            await coder.send(wire.End())
            while not isinstance(message := await coder.receive(), wire.Done):
                assert isinstance(message, wire.Data)
                pieces.append(message.data)
    assert message.duration_s == pytest.approx(len(pcm) / 2 / rate_hz)
    return pieces


RECORDINGS = {
    "wav": ("a.wav", "pcm_s16le", None),
    "float wav": ("a.wav", "pcm_f32le", None),
    "mp3": ("a.mp3", "libmp3lame", None),
    "ogg opus": ("a.ogg", "libopus", None),
    "m4a": ("a.m4a", "aac", None),
    "m4a lossless": ("a.m4a", "alac", None),
    "flac": ("a.flac", "flac", None),
    "webm": ("a.webm", "libopus", None),
    "aiff": ("a.aiff", "pcm_s16be", None),
    "mp4 video": ("a.mp4", "aac", "mpeg4"),
    "mkv video": ("a.mkv", "libopus", "mpeg4"),
    "mov video": ("a.mov", "pcm_s16le", "mpeg4"),
    "mpeg ts": ("a.ts", "aac", "mpeg2video"),
}


@pytest.mark.parametrize("kind", RECORDINGS)
async def test_recording_of_any_kind_is_decoded(kind: str, tmp_path: Path) -> None:
    name, codec, video = RECORDINGS[kind]
    path = make_recording(
        tmp_path / name,
        tone(3.0),
        24_000,
        codec=codec,
        video=video,
    )
    path = path.rename(tmp_path / "upload")  # the name must not matter
    pcm = await decode_pcm(path)
    assert len(pcm) / 32_000 == pytest.approx(3.0, abs=0.1)
    assert pitch_hz(pcm, 16_000) == pytest.approx(TONE_HZ, abs=1.0)


@pytest.mark.parametrize("file_format", CODECS)
async def test_encoded_speech_decodes_to_the_same(file_format: str, tmp_path: Path) -> None:
    pieces = await encode(tone(3.0), file_format)
    assert len(pieces) > 1, "it is to come as it is made"
    path = tmp_path / "speech"
    path.write_bytes(b"".join(pieces))
    pcm = await decode_pcm(path)
    assert len(pcm) / 32_000 == pytest.approx(3.0, abs=0.1)  # codecs add some of their own
    assert pitch_hz(pcm, 16_000) == pytest.approx(TONE_HZ, abs=1.0)


HEADS = {"mp3": b"\xff\xf3", "opus": b"OggS", "aac": b"\xff\xf1", "flac": b"fLaC"}


@pytest.mark.parametrize("file_format", CODECS)
async def test_encoded_file_is_of_the_format(file_format: str) -> None:
    assert b"".join(await encode(tone(0.5), file_format)).startswith(HEADS[file_format])


@pytest.mark.parametrize("file_format", CODECS)
async def test_encoding_nothing_ends_well(file_format: str) -> None:
    await encode(b"", file_format)


async def test_first_sound_is_encoded_before_the_rest_is_there() -> None:
    for file_format in CODECS:
        with trio.fail_after(CEILING_S):
            async with open_encoder(file_format, 24_000) as coder:
                await coder.send(wire.Pcm(tone(0.4)))
                data = b""
                # More than the head: a few frames of sound.
                while len(data) < 600:
                    message = await coder.receive()
                    assert isinstance(message, wire.Data)
                    data += message.data


async def test_wav_of_unknown_length_is_read_by_others() -> None:
    pcm = tone(1.0)
    with av.open(io.BytesIO(wav_head(24_000) + pcm), "r") as container:
        frames = list(container.decode(audio=0))
    assert sum(frame.samples for frame in frames) == 24_000


async def test_stereo_is_mixed_and_a_low_rate_raised(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.wav", tone(1.0), 24_000, codec="pcm_s16le", stored_hz=8_000)
    pcm = await decode_pcm(path)
    assert len(pcm) == pytest.approx(32_000, abs=320)
    assert pitch_hz(pcm, 16_000) == pytest.approx(TONE_HZ, abs=1.5)


def _playlist(folder: Path) -> bytes:
    (folder / "secret.wav").write_bytes(encode_wav(tone(1.0), 24_000))
    return f"#EXTM3U\n#EXTINF:1,\nfile://{folder}/secret.wav\n#EXT-X-ENDLIST\n".encode()


def _concat(folder: Path) -> bytes:
    (folder / "secret.wav").write_bytes(encode_wav(tone(1.0), 24_000))
    return b"ffconcat version 1.0\nfile secret.wav\n"


def _silent_video(folder: Path) -> bytes:
    path = folder / "a.mp4"
    return make_recording(path, tone(1.0), 24_000, codec=None, video="mpeg4").read_bytes()


def _truncated_m4a(folder: Path) -> bytes:
    whole = make_recording(folder / "a.m4a", tone(1.0), 24_000, codec="aac").read_bytes()
    return whole[: len(whole) // 2]  # what says where the sound is stands at the end


def _wav_without_samples(folder: Path) -> bytes:
    return encode_wav(b"", 16_000)


BAD: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda folder: b"",
    "a byte": lambda folder: b"R",
    "text": lambda folder: b"Dear Sirs, " * 400,
    "noise": lambda folder: np.random.default_rng(1).bytes(100_000),
    "zip": lambda folder: b"PK\x03\x04" + bytes(10_000),
    "playlist": _playlist,
    "concat script": _concat,
    "video without sound": _silent_video,
    "m4a cut in two": _truncated_m4a,
    "wav without samples": _wav_without_samples,
    "picture": lambda folder: b"\x89PNG\r\n\x1a\n" + bytes(1_000),
}


@pytest.mark.parametrize("kind", BAD)
async def test_what_is_no_recording_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(BAD[kind](tmp_path))
    with pytest.raises(AudioError) as caught:
        await decode(path)
    assert str(tmp_path) not in caught.value.public
    assert len(caught.value.public) > 20


def test_script_would_be_followed_if_it_were_let(tmp_path: Path) -> None:
    """The control of the test above: FFmpeg as it comes does open what a script names."""
    path = tmp_path / "upload"
    path.write_bytes(_concat(tmp_path))
    with av.open(str(path), "r") as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 24_000


async def test_what_is_left_of_a_cut_recording_is_used(tmp_path: Path) -> None:
    for name, codec in (("a.mp3", "libmp3lame"), ("a.flac", "flac"), ("a.wav", "pcm_s16le")):
        path = make_recording(tmp_path / name, tone(2.0), 24_000, codec=codec)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        pcm = await decode_pcm(path)
        assert 0.6 < len(pcm) / 32_000 < 1.2


async def test_damage_inside_is_passed_over(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "a.mp3", tone(4.0), 24_000, codec="libmp3lame")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = np.random.default_rng(2).bytes(2_000)
    path.write_bytes(data)
    assert len(await decode_pcm(path)) / 32_000 == pytest.approx(4.0, abs=0.6)


async def test_sound_that_is_missing_is_silence_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=24_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for second in (0, 1, 4):  # two seconds are not there
            frame = av.AudioFrame(format="s16", layout="mono", samples=24_000)
            frame.planes[0].update(tone(1.0).ljust(frame.planes[0].buffer_size, b"\0"))
            frame.sample_rate = 24_000
            frame.pts = second * 24_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    samples = np.frombuffer(await decode_pcm(path), "<i2").astype(float)
    assert len(samples) / 16_000 == pytest.approx(5.0, abs=0.05)
    loud = [np.abs(samples[s * 16_000 + 800 : (s + 1) * 16_000 - 800]).mean() for s in range(5)]
    assert [level > 1_000 for level in loud] == [True, True, False, False, True]


async def test_recording_longer_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encode_wav(tone(3.0), 24_000))
    with pytest.raises(AudioError, match="longer than 2 s"):
        await decode(path, wire.DecodeJob(max_s=2, whole=True))


async def test_little_file_that_becomes_much_sound_stays_small_in_memory(tmp_path: Path) -> None:
    """Three hours of silence in a file that is a hundredth of it, refused after one."""
    path = tmp_path / "bomb.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        for second in range(0, 10_800, 10):
            frame = av.AudioFrame(format="s16", layout="mono", samples=80_000)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate = 8_000
            frame.pts = second * 8_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert path.stat().st_size < 3_000_000
    most_bytes = 0
    job = wire.DecodeJob(max_s=3_600)
    with path.open("rb") as file, pytest.raises(AudioError, match="longer"):  # noqa: PT012
        async with open_decoder(file.fileno(), job) as coder:
            while not isinstance(await coder.receive(), wire.Done):
                # It may have said all it has to say, and be gone.
                with contextlib.suppress(psutil.NoSuchProcess):
                    resident = psutil.Process(coder.pid).memory_info().rss
                    most_bytes = max(most_bytes, resident)
    assert 0 < most_bytes < 150e6


async def test_wav_that_lies_about_its_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_head(24_000) + tone(1.0))
    assert len(await decode_pcm(path)) == pytest.approx(32_000, abs=64)
    data = bytearray(encode_wav(tone(1.0), 24_000))
    data[40:44] = struct.pack("<I", 12_000_000)
    path.write_bytes(data)
    assert len(await decode_pcm(path)) == pytest.approx(32_000, abs=64)


async def test_leaving_ends_the_process_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encode_wav(bytes(32_000 * 600), 16_000))
    with path.open("rb") as file, trio.fail_after(CEILING_S):
        with trio.CancelScope() as scope:
            async with open_decoder(file.fileno(), WHOLE) as coder:
                await coder.receive()
                pid = coder.pid
                scope.cancel()
                await trio.sleep_forever()
        assert not psutil.pid_exists(pid)


async def test_killed_process_is_an_error_and_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(encode_wav(bytes(32_000 * 60), 16_000))
    with path.open("rb") as file, trio.fail_after(CEILING_S):
        with pytest.raises(AudioError):  # noqa: PT012
            async with open_decoder(file.fileno(), WHOLE) as coder:
                await coder.receive()
                os.kill(coder.pid, 9)
                while not isinstance(await coder.receive(), wire.Done):
                    pass
        with pytest.raises(MediaError):  # noqa: PT012
            async with open_encoder("mp3", 24_000) as coder:
                os.kill(coder.pid, 9)
                await coder.receive()


async def test_encoder_that_is_silent_hangs_unless_it_was_given_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_encoder("mp3", 24_000) as coder:
        with trio.fail_after(CEILING_S):
            await coder.send(wire.Pcm(tone(0.5)))
            await coder.receive()
        monkeypatch.setattr(coders, "STALL_S", 0.02)
        with trio.move_on_after(0.5) as waiting, coder.resting():
            while True:
                await coder.receive()
        assert waiting.cancelled_caught, "nobody wanted anything of it"
        with pytest.raises(MediaError, match="said nothing"), trio.fail_after(CEILING_S):  # noqa: PT012
            while True:
                await coder.receive()
