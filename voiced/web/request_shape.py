"""Upgrade requests of a shape that is not served: told by an `error` event and close 4000."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.telemetry.messages import UnknownTypes, parse_types
from voiced.web.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voiced.realtime.secrets import Kind
    from voiced.web.head import Head

BETA_HEADER, BETA_VALUE = "openai-beta", "realtime=v1"
BETA_PROTOCOL = "openai-beta.realtime-v1"
INSIGHTS = "insights"
"""The intent of who watches the daemon and holds no conversation."""

INTENTS = ("", "transcription", INSIGHTS)
OBSERVER_QUERY = {"intent", "types"}


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
        message = "Invalid value for 'intent'. Supported values are 'transcription' and 'insights'."
        return Refusal(400, "invalid_value", message, param="intent")
    if intent == INSIGHTS:
        return object_to_observer(head)
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


def is_observer(query: Mapping[str, str]) -> bool:
    """Whether a WebSocket with this query watches, and is no session."""
    return query.get("intent") == INSIGHTS


def object_to_observer(head: Head) -> Refusal | None:
    """What is wrong with the request of somebody who wants to watch."""
    unknown = sorted(set(head.query) - OBSERVER_QUERY)
    if unknown:
        message = f"Unknown parameter: '{unknown[0][:64]}'. With intent=insights there is 'types'."
        return Refusal(400, "unknown_parameter", message, param=unknown[0][:64])
    try:
        parse_types(head.query.get("types", ""))
    except UnknownTypes as error:
        return Refusal(400, "invalid_value", str(error), param="types")
    return None
