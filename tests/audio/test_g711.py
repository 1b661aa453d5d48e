"""G.711 against ITU-T's values, and where Python still has it, against audioop."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from voiced.audio.g711 import (
    ALAW_SILENCE,
    MULAW_SILENCE,
    decode_alaw,
    decode_mulaw,
    encode_alaw,
    encode_mulaw,
)

Encode = Callable[[NDArray[np.int16]], bytes]
Decode = Callable[[bytes], NDArray[np.int16]]

EVERY_CODE = bytes(range(256))
EVERY_SAMPLE = np.arange(-32_768, 32_768).astype(np.int16)

# ITU-T G.711 tables 2a and 2b: the ends of each segment, as decoded values of 14 bits times four.
MULAW = {
    0x80: 32_124,
    0x8F: 16_764,
    0x90: 15_996,
    0x9F: 8_316,
    0xA0: 7_932,
    0xB0: 3_900,
    0xC0: 1_884,
    0xD0: 876,
    0xE0: 372,
    0xEF: 132,
    0xF0: 120,
    0xFE: 8,
    0xFF: 0,
    0x7F: 0,
    0x00: -32_124,
    0x70: -120,
}

# Tables 1a and 1b: decoded values of 13 bits (4032 the largest of 4096) times eight.
ALAW = {
    0xD5: 8,
    0x55: -8,
    0xD4: 24,
    0xC5: 264,
    0xAA: 32_256,
    0x2A: -32_256,
    0xA5: 16_896,
    0x80: 5_504,
    0x9A: 4_032,
}


@pytest.mark.parametrize(("code", "sample"), MULAW.items())
def test_mulaw_codes_are_the_recommended_samples(code: int, sample: int) -> None:
    assert decode_mulaw(bytes([code])).tolist() == [sample]


@pytest.mark.parametrize(("code", "sample"), ALAW.items())
def test_alaw_codes_are_the_recommended_samples(code: int, sample: int) -> None:
    assert decode_alaw(bytes([code])).tolist() == [sample]


def test_each_code_survives_being_decoded_and_encoded() -> None:
    assert encode_alaw(decode_alaw(EVERY_CODE)) == EVERY_CODE
    back = bytearray(encode_mulaw(decode_mulaw(EVERY_CODE)))
    assert back[0x7F] == 0xFF  # µ-law has two zeros
    back[0x7F] = 0x7F
    assert bytes(back) == EVERY_CODE


@pytest.mark.parametrize(
    ("encode", "decode"), [(encode_mulaw, decode_mulaw), (encode_alaw, decode_alaw)]
)
def test_every_sample_comes_back_within_a_step(encode: Encode, decode: Decode) -> None:
    """Half a step is 1/32 of a segment's start at most; the last is clipped by some 500."""
    back = decode(encode(EVERY_SAMPLE)).astype(int)
    error = np.abs(back - EVERY_SAMPLE)
    assert (error <= np.maximum(np.abs(EVERY_SAMPLE.astype(int)) / 16, 16)).all()
    assert (np.diff(back) >= 0).all()


def test_silence_is_the_code_of_nothing() -> None:
    assert encode_mulaw(np.zeros(3, np.int16)) == bytes([MULAW_SILENCE]) * 3
    assert encode_alaw(np.zeros(3, np.int16)) == bytes([ALAW_SILENCE]) * 3


def test_a_slice_of_samples_is_encoded_too() -> None:
    assert encode_mulaw(EVERY_SAMPLE[::7]) == encode_mulaw(EVERY_SAMPLE[::7].copy())


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop is gone from the library")
@pytest.mark.filterwarnings("ignore:'audioop' is deprecated")
@pytest.mark.parametrize(
    ("law", "encode", "decode"),
    [("u", encode_mulaw, decode_mulaw), ("a", encode_alaw, decode_alaw)],
)
def test_audioop_agrees_on_everything(law: str, encode: Encode, decode: Decode) -> None:
    audioop = importlib.import_module("audioop")
    decoded = getattr(audioop, f"{law}law2lin")(EVERY_CODE, 2)
    assert decode(EVERY_CODE).tobytes() == decoded
    assert encode(EVERY_SAMPLE) == getattr(audioop, f"lin2{law}law")(EVERY_SAMPLE.tobytes(), 2)
