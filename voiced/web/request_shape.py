"""Upgrade requests of a shape that is not served: told by an `error` event and close 4000."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.web.refusal import Refusal

if TYPE_CHECKING:
    from voiced.realtime.secrets import Kind
    from voiced.web.head import Head

BETA_HEADER, BETA_VALUE = "openai-beta", "realtime=v1"
BETA_PROTOCOL = "openai-beta.realtime-v1"
INTENTS = ("", "transcription")


def object_to_shape(head: Head, kind: Kind | None) -> Refusal | None:
    """Return what is wrong with the upgrade request `head`, or None.

    `kind` is that of the session attached to the client secret that was presented, if any.
    """
    if BETA_PROTOCOL in head.values("sec-websocket-protocol") or BETA_VALUE in head.tokens(
        BETA_HEADER
    ):
        message = (
            "The Realtime beta shape is not supported. Use the GA shape, without"
            f" `OpenAI-Beta: {BETA_VALUE}` and `{BETA_PROTOCOL}`."
        )
        return Refusal(400, "beta_api_shape_disabled", message)
    if "call_id" in head.query:
        message = "There are no calls to attach to: this server has no WebRTC or SIP."
        return Refusal(400, "invalid_value", message, param="call_id")
    intent = head.query.get("intent", "")
    if intent not in INTENTS:
        message = "Invalid value for 'intent'. The only one there is is 'transcription'."
        return Refusal(400, "invalid_value", message, param="intent")
    if intent and head.query.get("model"):
        message = (
            "You cannot name a model in the URL of a transcription session: set"
            " 'session.audio.input.transcription.model'."
        )
        return Refusal(400, "invalid_parameter", message, param="model")
    if intent and kind == "realtime":
        message = "This client secret is for a session of type 'realtime', not a transcription."
        return Refusal(400, "invalid_parameter", message, param="intent")
    return None
