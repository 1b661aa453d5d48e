"""What a WebSocket is told that is turned away, in the form that its client reads."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from voiced.telemetry.messages import ErrorMessage, encode, utc_now
from voiced.telemetry.payloads import Fault

if TYPE_CHECKING:
    from voiced.web.refusal import Refusal

KIND = "invalid_request_error"

MISSING_KEY = "missing_api_key"
"""What is not told in so many words: the protocol has no code for it."""


def farewell(refusal: Refusal, *, observer: bool) -> tuple[str, str]:
    """The one event, as JSON, and the reason of the close.

    The form is that of the real service, and for an observer that of the insights stream. The
    reason is the error's type and, where there is one, its code.
    """
    reason = KIND if refusal.code is None else f"{KIND}.{refusal.code}"
    if observer:
        fault = Fault(code=refusal.code or MISSING_KEY, message=refusal.message)
        return encode(ErrorMessage(payload=fault, timestamp=utc_now())), reason
    event = {
        "type": "error",
        "event_id": f"event_{secrets.token_hex(10)}",
        "error": {
            "type": KIND,
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": None,
        },
    }
    return msgspec.json.encode(event).decode(), reason
