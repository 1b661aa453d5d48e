"""`/v1/audio/speech`: text to speech in many formats, sent while it is spoken."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
from msgspec import Meta, Struct
from quart import Blueprint, Response, request

from voiced.engines.tts.voices import Voices
from voiced.media.formats import MEDIA_TYPES, Format
from voiced.media.speaking import Speech, speak_to_file, split_clauses
from voiced.web.bodies import read_json
from voiced.web.openapi import Answer, Binary, EventStream, documents
from voiced.web.slots import Slots
from voiced.web.sse import CONTENT_TYPE, encode_event, encode_failure
from voiced.web.streaming import StreamedResponse

if TYPE_CHECKING:
    from voiced.web.services import Services
    from voiced.web.streaming import Put

log = structlog.get_logger()

MOST_CHARACTERS = 4_096


class SpeechVoice(Struct, frozen=True):
    """A voice by its id; the same as its name alone."""

    id: str


class SpeechRequest(Struct, frozen=True, kw_only=True):
    """What to say, and how. Fields that are not listed here are ignored."""

    input: Annotated[str, Meta(min_length=1, max_length=MOST_CHARACTERS)]
    model: str = ""
    voice: str | SpeechVoice = ""
    instructions: Annotated[
        str,
        Meta(max_length=MOST_CHARACTERS, description="Accepted; no engine here takes any."),
    ] = ""
    response_format: Format = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"


class SpeechUsage(Struct, frozen=True, kw_only=True):
    """What was used: words of the text. Engines here do not count audio in tokens."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class AudioDelta(Struct, tag_field="type", tag="speech.audio.delta", frozen=True):
    """Event: more of the file, in base64."""

    audio: str


class AudioDone(Struct, tag_field="type", tag="speech.audio.done", frozen=True):
    """Event: the file is complete."""

    usage: SpeechUsage


SpeechEvent = AudioDelta | AudioDone


def speech_routes(services: Services) -> Blueprint:
    """Return the route that speaks with the engine of `services`."""
    routes = Blueprint("speech", __name__)
    slots = Slots(services.settings.limits.speeches, "texts")
    voices = Voices(services.settings.tts, services.tts)

    @routes.post("/v1/audio/speech")
    @documents(
        "Speak a text",
        tag="audio",
        request=SpeechRequest,
        answers={
            200: Answer(
                "The file, sent while it is spoken.",
                {
                    **dict.fromkeys(MEDIA_TYPES.values(), Binary),
                    "text/event-stream": EventStream(SpeechEvent),
                },
            )
        },
    )
    async def speech() -> Response:
        """Mono, 24 kHz; `pcm` is signed 16-bit little-endian without a head.

        The first sound leaves as soon as the first clause is spoken. A voice of OpenAI's stands
        for one of the engine's; the model that is named does not matter.
        """
        asked = await read_json(SpeechRequest)
        remote = request.remote_addr

        async def produce(put: Put) -> None:
            with slots.take():
                seconds = await answer(asked, services, voices, put)
                characters = len(asked.input)
                log.info("spoke", remote=remote, seconds=round(seconds, 1), characters=characters)

        if asked.stream_format == "sse":
            return StreamedResponse(produce, CONTENT_TYPE, failure=encode_failure)
        return StreamedResponse(produce, MEDIA_TYPES[asked.response_format])

    return routes


async def answer(asked: SpeechRequest, services: Services, voices: Voices, put: Put) -> float:
    """Put the file, or the events with it; returns how long the speech is, in seconds.

    Raises `SpeechError`, `EngineError`, `MediaError`.
    """
    name = asked.voice if isinstance(asked.voice, str) else asked.voice.id
    speech = Speech(
        pieces=split_clauses(asked.input),
        language=services.settings.stt.language,
        voice=voices.resolve(name),
        speed=asked.speed,
    )

    async def put_event(data: bytes) -> None:
        await put(encode_event(AudioDelta(base64.b64encode(data).decode())))

    as_events = asked.stream_format == "sse"
    sink = put_event if as_events else put
    seconds = await speak_to_file(speech, services.tts, asked.response_format, sink)
    if as_events:
        await put(encode_event(AudioDone(count_usage(asked.input))))
    return seconds


def count_usage(text: str) -> SpeechUsage:
    """What a speech of `text` used, in the tokens of engines that have none of their own."""
    words = len(text.split())
    return SpeechUsage(input_tokens=words, output_tokens=0, total_tokens=words)
