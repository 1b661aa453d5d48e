"""Bytes and milliseconds of each wire format."""

from __future__ import annotations

import numpy as np
import pytest

from voiced.audio.formats import FORMATS, PCM, PCMA, PCMU, WireFormat

EVERY_FORMAT = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS.keys())


def test_a_second_is_as_many_bytes_as_the_protocol_says() -> None:
    assert PCM.bytes_for_ms(1000) == 48_000
    assert PCMU.bytes_for_ms(1000) == PCMA.bytes_for_ms(1000) == 8_000
    assert PCM.duration_ms(48_000) == PCMU.duration_ms(8_000) == PCMA.duration_ms(8_000) == 1000.0


@EVERY_FORMAT
def test_bytes_are_whole_samples(form: WireFormat) -> None:
    for milliseconds in (0.01, 0.07, 1.99, 33.333):
        size = form.bytes_for_ms(milliseconds)
        assert size % form.sample_bytes == 0
        assert form.duration_ms(size) <= milliseconds
    assert form.samples(form.bytes_for_ms(1000)) == form.rate_hz


@EVERY_FORMAT
def test_sound_survives(form: WireFormat) -> None:
    sound = np.asarray(9000 * np.sin(np.arange(4000) / 20), np.int16)
    back = form.decode(form.encode(sound))
    assert back.shape == sound.shape
    noise = np.mean((back.astype(float) - sound) ** 2)
    assert noise < np.mean(sound.astype(float) ** 2) / 1000


@EVERY_FORMAT
def test_silence_is_silent(form: WireFormat) -> None:
    assert len(form.silence) == form.sample_bytes
    assert np.abs(form.decode(form.silence * 80)).max() <= 8
