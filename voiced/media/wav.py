"""The head of a WAV file."""

from __future__ import annotations

import struct
from typing import Final

_UNKNOWN: Final = 0xFFFFFFFF


HEAD_BYTES: Final = 44


def wav_head(rate_hz: int, pcm_bytes: int | None = None) -> bytes:
    """What goes in front of so much PCM16 mono; None while that is still being made.

    Both lengths are the largest there are then, as FFmpeg and OpenAI write them to a pipe, and as
    four gigabytes or more have them too: players read to the end. A zero would be a file of no
    samples to many.
    """
    size = _UNKNOWN if pcm_bytes is None else pcm_bytes
    whole = size + HEAD_BYTES - 8
    if whole >= _UNKNOWN:
        size = whole = _UNKNOWN
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", whole, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(form)),
            form,
            struct.pack("<4sI", b"data", size),
        )
    )
