"""Resampling, against soxr over the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.audio.formats import FORMATS, PCM, PCMU, WireFormat
from voiced.audio.pcm import SPEECH_HZ, WIRE_HZ
from voiced.audio.resample import (
    CHUNK,
    RIGHT_MS,
    ChunkResampler,
    StreamResampler,
    resample_whole,
    to_speech,
)

EVERY_FORMAT = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())


def recording(seconds: float, rate: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Something like a voice: a low and a high tone, and noise."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(3).normal(0, 800, len(t))
    tones = 8000 * np.sin(2 * np.pi * 220 * t) + 3000 * np.sin(2 * np.pi * 3100 * t)
    return np.asarray(tones + noise, np.int16)


PCM_SOUND = recording(2.0, PCM.rate_hz)


def snr_db(wanted: np.ndarray, got: np.ndarray) -> float:
    wanted = wanted.astype(np.float64)
    error = wanted - got
    return float(10 * np.log10(np.mean(wanted**2) / np.mean(error**2)))


def as_sent(form: WireFormat, seconds: float = 2.0) -> bytes:
    return form.encode(recording(seconds, form.rate_hz))


def in_portions(sound: bytes, portions: list[int], most: int, form: WireFormat) -> np.ndarray:
    resampler, pending, chunks, taken = ChunkResampler(form), bytearray(), [], b""
    whole = sound
    for samples in [*portions, len(sound)]:
        size = form.sample_bytes * samples
        pending += sound[:size]
        sound = sound[size:]
        while True:
            chunk, raw = resampler.chunks(pending, most)
            if not chunk.size:
                break
            assert len(raw) == len(chunk) // CHUNK * resampler.step_bytes
            chunks.append(chunk)
            taken += raw
    assert taken + pending == whole
    return np.concatenate(chunks) if chunks else np.empty(0, np.int16)


def chunks_in(sound: bytes, form: WireFormat) -> int:
    return (len(sound) - form.bytes_for_ms(RIGHT_MS)) // ChunkResampler(form).step_bytes


@EVERY_FORMAT
def test_a_chunk_is_32_ms_of_audio(form: WireFormat) -> None:
    assert form.duration_ms(ChunkResampler(form).step_bytes) == 32


@EVERY_FORMAT
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(1, 8))
def test_portions_make_no_difference_that_can_be_heard(
    form: WireFormat, portions: list[int], most: int
) -> None:
    sound = as_sent(form)
    got = in_portions(sound, portions, most, form)
    assert len(got) == chunks_in(sound, form) * CHUNK
    # The filter sees more of the future inside a block than at its end: some units of 32768.
    assert snr_db(to_speech(sound, form)[: len(got)], got) > (65 if form is PCM else 52)


def test_g711_in_is_as_good_as_the_code_is() -> None:
    """µ-law costs 38 dB; resampling it in blocks adds nothing to that."""
    sound = recording(2.0, PCMU.rate_hz)
    wanted = soxr.resample(sound, PCMU.rate_hz, SPEECH_HZ)
    got = in_portions(PCMU.encode(sound), [160] * 99, 8, PCMU)
    whole = to_speech(PCMU.encode(sound), PCMU)
    assert snr_db(wanted[: len(got)], got) > 34
    assert abs(snr_db(wanted[: len(got)], got) - snr_db(wanted, whole)) < 0.5


def test_without_its_context_the_joints_are_heard() -> None:
    """The control for the tests above."""
    step = CHUNK * PCM.rate_hz // SPEECH_HZ
    pieces = [
        resample_whole(PCM_SOUND[i : i + step].tobytes(), PCM.rate_hz, SPEECH_HZ)
        for i in range(0, len(PCM_SOUND) - step, step)
    ]
    got = np.frombuffer(b"".join(pieces), np.int16)
    whole = soxr.resample(PCM_SOUND, PCM.rate_hz, SPEECH_HZ)
    assert snr_db(whole[: len(got)], got) < 40


@EVERY_FORMAT
def test_after_reset_it_is_as_new(form: WireFormat) -> None:
    sound = as_sent(form)
    used = ChunkResampler(form)
    used.chunks(bytearray(sound), 4)
    used.reset()
    fresh = ChunkResampler(form)
    piece = sound[5000:9000]
    assert (used.chunks(bytearray(piece), 8)[0] == fresh.chunks(bytearray(piece), 8)[0]).all()


@EVERY_FORMAT
def test_silence_before_the_first_sample_is_silence(form: WireFormat) -> None:
    """A context of zero bytes would be the loudest sample there is in µ-law."""
    quiet = bytearray(form.silence * form.rate_hz)
    assert np.abs(ChunkResampler(form).chunks(quiet, 8)[0]).max() <= 16


@pytest.mark.parametrize("to_hz", [8_000, 24_000])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 24_000, 44_100])
def test_a_stream_in_portions_is_the_whole_and_as_long(rate: int, to_hz: int) -> None:
    sound = recording(1.0, rate)
    stream, out = StreamResampler(rate, to_hz), b""
    pcm = sound.tobytes()
    for start in range(0, len(pcm), 998):
        out += stream.resample(pcm[start : start + 998])
    out += stream.flush()
    got = np.frombuffer(out, np.int16)
    wanted = sound if rate == to_hz else soxr.resample(sound, rate, to_hz)
    assert abs(len(got) - len(wanted)) <= 1
    shared = min(len(got), len(wanted))
    if rate == to_hz:
        assert (got == wanted).all()
    else:
        assert snr_db(wanted[:shared], got[:shared]) > 70


@pytest.mark.parametrize("to_hz", [8_000, 24_000])
def test_a_stream_holds_back_little(to_hz: int) -> None:
    """Of a first portion of 60 ms most comes out at once; of a soxr stream to 8 kHz, nothing."""
    first = recording(0.06, 22_050).tobytes()
    assert len(StreamResampler(22_050, to_hz).resample(first)) / 2 / to_hz >= 0.040
    theirs = soxr.ResampleStream(22_050, 8_000, 1, dtype="int16", quality="HQ")
    assert not theirs.resample_chunk(np.frombuffer(first, np.int16)).size


def test_a_stream_may_be_empty() -> None:
    assert StreamResampler(22_050, WIRE_HZ).flush() == b""
    assert StreamResampler(22_050, WIRE_HZ).resample(b"") == b""
    assert resample_whole(b"", WIRE_HZ, SPEECH_HZ) == b""
    assert to_speech(b"", PCMU).size == 0
