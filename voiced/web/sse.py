"""Server-sent events as the OpenAI API writes them: lines of `data:` with JSON in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from voiced.web.refusal import api_error

if TYPE_CHECKING:
    from voiced.errors import VoicedError

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"

DONE: Final = b"data: [DONE]\n\n"
"""What some streams end with."""


def encode_event(event: msgspec.Struct) -> bytes:
    """One event. JSON has no line breaks of its own, so it is one line."""
    return b"data: " + msgspec.json.encode(event) + b"\n\n"


def encode_failure(error: VoicedError) -> bytes:
    """The last event of a stream that fails: clients raise it as an error of the API."""
    return encode_event(api_error(error.status, error.code, error.public))
