"""Where voiced differs from the real Realtime service, and why; shown in `docs/realtime.md`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Deviation(Struct, frozen=True):
    """One difference, seen by a client."""

    about: str
    openai: str
    voiced: str
    why: str


DEVIATIONS: Final = (
    Deviation(
        "keys, from the machine itself",
        "the right one is needed",
        "any key will do, or none, unless `auth.token_on_loopback` is set",
        "Who is on this machine may use it; clients are made to send a key.",
    ),
    Deviation(
        "many wrong keys from one address",
        "limits are the account's",
        "`rate_limit_exceeded` and close code 4029, for a while, for the right key too",
        "A token that somebody chose is short enough to be found by trying.",
    ),
    Deviation(
        "`?model=`",
        "must be there, and exist",
        "may be missing, and any name will do; the session echoes it",
        "The engines are the settings' choice, and every client has a model of its own.",
    ),
    Deviation(
        "`?call_id=`, an `intent` of another kind",
        "calls and translations",
        "an `error` event, and close code 4000",
        "There is no WebRTC, no SIP, and nothing that translates.",
    ),
    Deviation(
        "`?session_id=`",
        "not there",
        "an `error` event, and close code 4001: sessions cannot be resumed yet",
        "A client that asks for its old session must not get a new one unawares.",
    ),
    Deviation(
        "`model` in `session.update`",
        "cannot change",
        "ignored",
        "Clients for agents send their own model with every update.",
    ),
    Deviation(
        "`session.voiced`",
        "not there",
        "`heat` says how warm the processor is and what gives way to that, in words for a person; "
        "when it changes, a `session.updated` comes that no client asked for. In a "
        "`session.update` it is ignored",
        "A small box that gets hot answers more briefly, and nobody should have to guess why.",
    ),
    Deviation(
        "long spoken replies",
        "as long as `max_output_tokens` allows",
        "while the processor is hot, at most `thermal.reply_tokens` as well, and the model is "
        "asked for one or two sentences; replies in text stay as they are",
        "A reply in flight is never cut, so the next one has to be short.",
    ),
    Deviation(
        "voices",
        "a dozen names; others are refused",
        "a name that the engine knows is that voice, one of OpenAI's stands for another of its "
        "voices (`tts.voices` chooses), any other for the default one",
        "Clients name OpenAI's voices, and a local engine has its own.",
    ),
    Deviation(
        "`speed`, formats of audio",
        "`speed` only between turns; formats: not recorded",
        "may change at any time: on the way out with the next response, the format on the way "
        "in with the next turn",
        "What has begun is not to change in the middle.",
    ),
    Deviation(
        "`turn_detection` of a transcription session",
        "has no keys about answers",
        "`create_response`, `interrupt_response` and `idle_timeout_ms` have no effect, and are not "
        "echoed",
        "The vendors' types let clients send them.",
    ),
    Deviation(
        "`tools`",
        "the client's alone",
        "the daemon's own (the time, timers, …) as well: they run inside the response, unseen. A "
        "client's tool of the same name takes the place of the daemon's, and where a call is "
        "insisted on, it is one of the client's",
        "An assistant that can tell the time should, whoever asks.",
    ),
    Deviation(
        "`conversation.item.truncate`",
        "refuses any time beyond the audio",
        "up to 500 ms beyond it counts as its end",
        "Clients compute the time from a clock of theirs and are often a little late.",
    ),
    Deviation(
        "`conversation.item.retrieve`",
        "returns the audio",
        "returns it as it came or was sent, in the format of that time; without it once "
        "`session.item_audio_mb` of newer audio is kept",
        "Memory is small, and clients retrieve what is new.",
    ),
    Deviation(
        "`conversation.item.create` with audio",
        "not recorded",
        "transcribed like a committed turn, unless a `transcript` comes with it; in "
        "`response.input` audio needs a `transcript`",
        "Models here read words.",
    ),
    Deviation(
        "`conversation.item.create` with an `id` that exists",
        "appends a second item of that id",
        "is refused with `invalid_value`",
        "Nobody could name either of them afterwards.",
    ),
    Deviation(
        "an empty answer",
        "an item without text",
        "in the conversation a response with an empty `output`, beside it an item without text",
        "Nothing is said where there is nothing to say, for one when a person says `stop`.",
    ),
    Deviation(
        "`tool_choice` that cannot be followed",
        "the model makes something up",
        "`response.done` with `failed` and `tool_choice_unmet`: the built-in assistant calls what "
        "it understood, or passes the user's words to a function that needs one text",
        "It does not invent arguments.",
    ),
    Deviation(
        "a function call of an out-of-band response",
        "not recorded",
        "can be answered in the conversation by its `call_id`, the newest 32; the model is then "
        "shown the call with its output",
        "Clients for agents run every call that they see, and answer it.",
    ),
    Deviation(
        "a function call without an output, two outputs of one call",
        "not recorded",
        "the model is told that the result has not arrived; the newer output counts",
        "A person may go on talking while a function runs.",
    ),
    Deviation(
        "`usage` of a response that was cancelled or failed",
        "filled in",
        "`null`",
        "The engine was stopped before it had counted.",
    ),
    Deviation(
        "`rate_limits.updated`",
        "requests and tokens of the account",
        "the control events of this session (`requests`); tokens have no limit",
        "It is what there is to run out of.",
    ),
    Deviation(
        "many events",
        "limits are the account's",
        "events beyond `limits.events_per_minute` get `rate_limit_exceeded` and have no effect",
        "One client must not slow down the others of a small machine.",
    ),
    Deviation(
        "messages that are no events",
        "an `error` each",
        "an `error` each; after many in a row the connection is closed with 1002",
        "Whoever sends them does not speak this protocol.",
    ),
    Deviation(
        "prompts, MCP servers, tracing, images",
        "hosted by OpenAI",
        "not there; see what is accepted without effect",
        "They need services or models that an offline daemon has not.",
    ),
    Deviation(
        "`permessage-deflate`",
        "negotiated",
        "never",
        "Audio hardly shrinks, and compression costs memory for each connection.",
    ),
    Deviation(
        "tokens",
        "of the model's tokenizer",
        "words, where the engine has no tokenizer; audio counts none",
        "The built-in assistant reads words.",
    ),
)

WITHOUT_EFFECT: Final = (
    (
        "`session`",
        "`tracing`, `truncation`, `prompt`, `include`, `reasoning`",
        "Echoed; hosted features.",
    ),
    (
        "`session.audio.input`",
        "`noise_reduction`, with its `type` and `strength`",
        "Echoed; no noise reduction is done.",
    ),
    (
        "`session.audio.input.transcription`",
        "`model`, `languages`, `keywords`, `delay`",
        "Echoed; the recogniser is the settings' choice.",
    ),
    (
        "`session`",
        "`instructions`; of `transcription`: `language`, `prompt`",
        "Handed to the engines; the built-in `assistant` and `phrases` do not look at them.",
    ),
    ("`session`", "`voiced`", "It is the daemon's to say; clients may send back what they got."),
    ("`response`", "`prompt`, `reasoning`", "Not echoed; hosted features."),
)
"""Where, which fields, and why: what clients may send for compatibility."""
