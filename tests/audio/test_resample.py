"""Resampling, against soxr over the whole recording."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from voiced.audio.pcm import SPEECH_HZ, WIRE_HZ
from voiced.audio.resample import (
    CHUNK,
    RIGHT,
    STEP,
    ChunkResampler,
    StreamResampler,
    resample_whole,
)


def recording(seconds: float, rate: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    """Something like a voice: a low and a high tone, and noise."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(3).normal(0, 800, len(t))
    tones = 8000 * np.sin(2 * np.pi * 220 * t) + 3000 * np.sin(2 * np.pi * 3100 * t)
    return np.asarray(tones + noise, np.int16)


SOUND = recording(2.0, WIRE_HZ)
WHOLE = soxr.resample(SOUND, WIRE_HZ, SPEECH_HZ)


def snr_db(wanted: np.ndarray, got: np.ndarray) -> float:
    wanted = wanted.astype(np.float64)
    error = wanted - got
    return float(10 * np.log10(np.mean(wanted**2) / np.mean(error**2)))


def in_portions(pcm: bytes, portions: list[int], most: int) -> np.ndarray:
    resampler, pending, chunks = ChunkResampler(), bytearray(), []
    for samples in [*portions, len(pcm)]:
        pending += pcm[: 2 * samples]
        pcm = pcm[2 * samples :]
        while (chunk := resampler.chunks(pending, most)).size:
            chunks.append(chunk)
    return np.concatenate(chunks) if chunks else np.empty(0, np.int16)


def test_it_gives_every_chunk_that_there_is_audio_for() -> None:
    chunks = in_portions(SOUND.tobytes(), [], most=8)
    assert len(chunks) == (len(SOUND) - RIGHT) // STEP * CHUNK


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=60), st.integers(1, 8))
def test_portions_make_no_difference_that_can_be_heard(portions: list[int], most: int) -> None:
    got = in_portions(SOUND.tobytes(), portions, most)
    assert len(got) == (len(SOUND) - RIGHT) // STEP * CHUNK
    # The filter sees more of the future inside a block than at its end: some units of 32768.
    assert snr_db(WHOLE[: len(got)], got) > 65


def test_without_its_context_the_joints_are_heard() -> None:
    """The control for the test above."""
    pieces = [
        resample_whole(SOUND[i : i + STEP].tobytes(), WIRE_HZ, SPEECH_HZ)
        for i in range(0, len(SOUND) - STEP, STEP)
    ]
    got = np.frombuffer(b"".join(pieces), np.int16)
    assert snr_db(WHOLE[: len(got)], got) < 40


def test_after_reset_it_is_as_new() -> None:
    used = ChunkResampler()
    used.chunks(bytearray(SOUND.tobytes()), 4)
    used.reset()
    fresh = ChunkResampler()
    sound = SOUND[5000:9000].tobytes()
    assert (used.chunks(bytearray(sound), 8) == fresh.chunks(bytearray(sound), 8)).all()


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100])
def test_a_stream_in_portions_is_the_whole_and_as_long(rate: int) -> None:
    sound = recording(1.0, rate)
    stream, out = StreamResampler(rate, WIRE_HZ), b""
    pcm = sound.tobytes()
    for start in range(0, len(pcm), 998):
        out += stream.resample(pcm[start : start + 998])
    out += stream.flush()
    got = np.frombuffer(out, np.int16)
    wanted = sound if rate == WIRE_HZ else soxr.resample(sound, rate, WIRE_HZ)
    assert abs(len(got) - len(wanted)) <= 1
    shared = min(len(got), len(wanted))
    if rate == WIRE_HZ:
        assert (got == wanted).all()
    else:
        assert snr_db(wanted[:shared], got[:shared]) > 60


def test_a_stream_may_be_empty() -> None:
    assert StreamResampler(22_050, WIRE_HZ).flush() == b""
    assert resample_whole(b"", WIRE_HZ, SPEECH_HZ) == b""
