"""What the codes on the Realtime socket mean: of errors, failures, and closed connections.

`docs/realtime.md` shows these tables. A test reads the source for every code that it can send and
holds it against them, both ways.
"""

from __future__ import annotations

ERROR_CODES = {
    "array_above_max_length": "An array has too many elements.",
    "array_below_min_length": "An array has too few elements.",
    "cannot_update_voice": "The voice was to change after the assistant had spoken.",
    "conversation_already_has_active_response": "The default conversation is being answered; "
    "the message names the response.",
    "decimal_above_max_value": "A number is too large.",
    "decimal_below_min_value": "A number is too small.",
    "input_audio_buffer_commit_empty": "There is less than 100 ms of audio to commit.",
    "integer_above_max_value": "An integer is too large.",
    "integer_below_min_value": "An integer is too small.",
    "invalid_event": "A binary frame, a value that is no object, or an object without `type`.",
    "invalid_json": "The frame is not JSON.",
    "invalid_parameter": "A session of another type than the one that was opened.",
    "invalid_tool_call_id": "The output of a call that nobody made.",
    "invalid_value": "A value that is not possible here; the message says why.",
    "item_create_invalid_previous_item_id": "There is no item to insert the new one after.",
    "item_delete_invalid_item_id": "There is no such item to delete.",
    "item_retrieve_invalid_item_id": "There is no such item to retrieve.",
    "item_truncate_invalid_item_id": "There is no such item to truncate.",
    "missing_required_parameter": "A required field is missing.",
    "object_above_max_properties": "An object has too many keys.",
    "rate_limit_exceeded": "Too many events, or audio far ahead of real time; ignored.",
    "response_cancel_not_active": "There is no response to cancel.",
    "response_create_not_available": "`response.create` in a transcription session.",
    "session_expired": "The session reached its longest life (`session.max_s`); closed with 1001.",
    "string_above_max_length": "A text is too long.",
    "string_below_min_length": "A text is too short.",
    "too_many_responses": "Too many out-of-band responses at once.",
    "unknown_parameter": "A field that the protocol does not have, or a read-only one.",
    "unsupported_content_type": "Only the audio of an assistant's message can be truncated; "
    "a message can hold no image.",
}
"""In `error` events. `param` is the dotted path of the field, where one is at fault."""

FAILURE_CODES = {
    "internal_error": "A fault of ours; it is in the log.",
    "session_expired": "The session reached its longest life.",
    "session_failed": "The session was ended for a fault.",
    "session_idle": "The client sent nothing for `session.idle_s`.",
    "server_shutting_down": "The daemon stops.",
    "too_many_responses": "Too many responses wait to begin.",
}
"""In `response.done` with the status `failed`, beside those of engines."""

CONNECT_CODES = {
    "beta_api_shape_disabled": "The shape of the beta, which nobody speaks any more.",
    "invalid_api_key": "A wrong key, or a client secret that has expired.",
    "invalid_parameter": "A transcription session with a model, or a secret for another type.",
    "invalid_value": "An `intent`, a `call_id` or a type of messages that is not served here.",
    "malformed_request": "The handshake is malformed.",
    "not_found": "There is no WebSocket at that path.",
    "origin_not_allowed": "A page of another origin; see `server.origins`.",
    "rate_limit_exceeded": "Too many wrong keys from one address.",
    "session_not_found": "A `session_id` of no session.",
    "too_many_connections": "`limits.connections_per_address`, or `limits.http_connections`.",
    "too_many_observers": "`limits.observers`, with `intent=insights`.",
    "too_many_sessions": "`limits.sessions`.",
    "unknown_host": "A `Host` that is not this machine's; see `server.hostnames`.",
    "unknown_parameter": "With `intent=insights`, something else than `types`.",
}
"""When connecting: in an `error` event before the connection is closed, or, where the request is
no handshake that could be answered or comes from another page, as an HTTP answer."""

CLOSE_CODES = {
    1000: "The client closed, or the session is over.",
    1001: "The daemon stops, the session expired or was idle, or the client has not answered "
    "pings.",
    1002: "Too many messages in a row that are no events.",
    1008: "The client does not read what it is sent.",
    1009: "A message is longer than `limits.frame_bytes`.",
    1011: "A fault of ours; it is in the log.",
    3000: "Bad credentials; an `error` event says so first.",
    4000: "A request of another shape; an `error` event says so first.",
    4001: "There is no such session; an `error` event says so first.",
    4029: "Too many connections, or too many wrong keys; an `error` event says so first.",
}
"""Of the WebSocket."""
