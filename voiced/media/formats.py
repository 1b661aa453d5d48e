"""The names of the formats that speech is given in, for those who have no codecs loaded."""

from __future__ import annotations

from typing import Final, Literal

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

ENCODED: Final = frozenset({"mp3", "opus", "aac", "flac"})
"""Those that take a codec."""

MEDIA_TYPES: Final[dict[str, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

SUFFIXES: Final[dict[str, Format]] = {
    ".mp3": "mp3",
    ".opus": "opus",
    ".ogg": "opus",
    ".aac": "aac",
    ".flac": "flac",
    ".wav": "wav",
    ".pcm": "pcm",
}
"""How the names of such files end."""
