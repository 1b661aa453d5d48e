"""WAV files of every common kind in, PCM16 mono out."""

from __future__ import annotations

import struct
import wave
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.energy import find_speech
from voiced.audio.files import encode_wav, parse_wav, read_pcm16, read_wav, to_pcm16, write_wav
from voiced.errors import AudioError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


def tone(rate_hz: int, seconds: float = 0.2, frequency_hz: float = 440.0) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(rate_hz * seconds)) / rate_hz)


def wav(
    body: bytes,
    rate_hz: int,
    channels: int,
    bits: int,
    kind: int = PCM,
    *,
    extensible: bool = False,
) -> bytes:
    frame = channels * bits // 8
    tag = EXTENSIBLE if extensible else kind
    fmt = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame, frame, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 0, kind) + bytes(14)
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + odd
    chunks += b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def encode(samples: NDArray[np.float64], kind: int, bits: int) -> bytes:
    if kind == FLOAT:
        return samples.astype("<f4" if bits == 32 else "<f8").tobytes()
    if bits == 8:
        return np.rint(samples * 127 + 128).astype(np.uint8).tobytes()
    whole = np.rint(samples * (2 ** (bits - 1) - 1)).astype("<i8")
    octets: NDArray[np.uint8] = whole.view(np.uint8).reshape(-1, 8)
    return octets[:, : bits // 8].tobytes()


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("kind", "bits"), [(PCM, 8), (PCM, 16), (PCM, 24), (PCM, 32), (FLOAT, 32), (FLOAT, 64)]
)
def test_every_sample_format_gives_the_same_sound(
    kind: int, bits: int, *, extensible: bool
) -> None:
    sound = tone(16_000)
    recording = parse_wav(
        wav(encode(sound, kind, bits), 16_000, 1, bits, kind, extensible=extensible)
    )
    assert recording.rate_hz == 16_000
    assert np.abs(recording.samples - sound).max() < (0.01 if bits == 8 else 0.0001)


def test_channels_are_mixed_to_one() -> None:
    sound = tone(48_000)
    stereo = np.column_stack((sound, np.zeros_like(sound))).ravel()
    recording = parse_wav(wav(encode(stereo, PCM, 16), 48_000, 2, 16))
    assert recording.duration_s == pytest.approx(0.2)
    assert np.abs(recording.samples - sound / 2).max() < 0.0001


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_any_rate_becomes_the_wanted_one_with_its_pitch(tmp_path: Path, rate_hz: int) -> None:
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(encode(tone(rate_hz, 1.0), PCM, 16), rate_hz, 1, 16))
    samples = np.frombuffer(read_pcm16(path, 24_000), "<i2")
    assert len(samples) == pytest.approx(24_000, abs=2)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 24_000 / len(samples) == pytest.approx(440, abs=2)


def test_full_scale_is_clipped_and_not_wrapped() -> None:
    loud = np.array([1.0, 2.0, -1.0, -2.0])
    recording = parse_wav(wav(encode(loud, FLOAT, 32), 24_000, 1, 32, FLOAT))
    samples = np.frombuffer(to_pcm16(recording, 24_000), "<i2")
    assert samples.tolist() == [32767, 32767, -32768, -32768]


@given(st.binary(max_size=400).filter(lambda pcm: len(pcm) % 2 == 0))
def test_what_is_written_is_what_is_read(pcm: bytes) -> None:
    assert to_pcm16(parse_wav(encode_wav(pcm, 24_000)), 24_000) == pcm


def test_written_file_is_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    write_wav(path, b"\x01\x00\x02\x00", 24_000)
    with wave.open(str(path), "rb") as other:
        assert (other.getnchannels(), other.getsampwidth(), other.getframerate()) == (1, 2, 24_000)
        assert other.readframes(9) == b"\x01\x00\x02\x00"


def test_file_cut_short_gives_the_whole_frames_it_has() -> None:
    data = wav(encode(tone(16_000), PCM, 16), 16_000, 1, 16)
    assert len(parse_wav(data[:-1001]).samples) == 3200 - 501


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a WAV"),
        (b"RIFF\0\0\0\0WAVE", "no samples"),
        (b"ID3" + bytes(64), "not a WAV"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "before their format"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0ab", "too short"),
        (wav(b"", 16_000, 0, 16), "0 channels"),
        (wav(b"", 3, 1, 16), "3 samples a second"),
        (wav(b"", 16_000, 1, 12), "12 bits is not supported"),
        (wav(b"", 16_000, 1, 8, 7), "format 7"),
        (wav(np.array([np.nan], "<f4").tobytes(), 16_000, 1, 32, FLOAT), "not numbers"),
    ],
)
def test_what_is_no_usable_wav_file_is_said_to_be_so(data: bytes, said: str) -> None:
    with pytest.raises(AudioError, match=said):
        parse_wav(data)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_sound_or_an_audio_error(tail: bytes) -> None:
    for data in (tail, b"RIFF\0\0\0\0WAVE" + tail, wav(b"", 8000, 1, 16)[:36] + tail):
        with suppress(AudioError):
            assert parse_wav(data).rate_hz > 0


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.wav", tmp_path):
        with pytest.raises(AudioError, match=str(path)) as caught:
            read_wav(path)
        assert str(tmp_path) not in caught.value.public


def test_speech_is_found_between_the_noise() -> None:
    rng = np.random.default_rng(1)
    sound = rng.normal(0, 0.001, 24_000 * 2)
    sound[12_000:30_000] += tone(24_000, 0.75)
    sound[40_000:40_100] = 0.5  # a click is no speech
    span = find_speech((sound * 32767).astype("<i2").tobytes(), 24_000)
    assert span is not None
    assert span.start_s == pytest.approx(0.5, abs=0.02)
    assert span.end_s == pytest.approx(1.25, abs=0.02)


@pytest.mark.parametrize("pcm", [b"", b"\0\0" * 24_000, b"\x01\x00"])
def test_no_speech_is_found_in_silence(pcm: bytes) -> None:
    assert find_speech(pcm, 24_000) is None
