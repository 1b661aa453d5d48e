"""PCM arithmetic: signed 16-bit little-endian mono is the only sample format inside voiced."""

from __future__ import annotations

WIRE_HZ = 24_000
"""Rate of `audio/pcm` on the Realtime protocol."""

SPEECH_HZ = 16_000
"""Rate that voice activity detection and speech recognition work at."""

SAMPLE_BYTES = 2

SPEECH_CHUNK = 512
"""Samples at 16 kHz that voice activity detection looks at together: 32 ms, Silero's own size."""


def duration_ms(pcm_bytes: int, sample_rate: int) -> float:
    """Milliseconds that so many bytes last."""
    return pcm_bytes * 1000 / (SAMPLE_BYTES * sample_rate)


def bytes_for_ms(milliseconds: float, sample_rate: int) -> int:
    """Bytes of whole samples that last at most so long."""
    return int(milliseconds * sample_rate / 1000) * SAMPLE_BYTES
