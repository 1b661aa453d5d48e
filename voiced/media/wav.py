"""The head of a WAV file whose length nobody knows yet."""

from __future__ import annotations

import struct
from typing import Final

_UNKNOWN: Final = 0xFFFFFFFF


def wav_head(rate_hz: int) -> bytes:
    """What goes in front of PCM16 mono that is still being made.

    Both lengths are the largest there are, as FFmpeg and OpenAI write them to a pipe: players
    then read to the end. A zero would be a file of no samples to many.
    """
    form = struct.pack("<HHIIHH", 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", _UNKNOWN, b"WAVE"),
            struct.pack("<4sI", b"fmt ", len(form)),
            form,
            struct.pack("<4sI", b"data", _UNKNOWN),
        )
    )
