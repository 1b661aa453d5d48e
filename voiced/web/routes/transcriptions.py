"""`/v1/audio/transcriptions`: recordings to text, in the shapes of the OpenAI API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog
from quart import Blueprint, Response, request

from voiced.media.subtitles import write_srt, write_vtt
from voiced.media.transcribing import Heard, Passage, Transcriber, decode_job, transcribe_recording
from voiced.media.transcripts import join_text, list_segments
from voiced.settings_loader import state_directory
from voiced.web.openapi import JSON, Answer, EventStream, documents
from voiced.web.slots import Slots
from voiced.web.spool import SPOOL_DIRECTORY, Spool
from voiced.web.sse import CONTENT_TYPE, DONE, encode_event, encode_failure
from voiced.web.streaming import StreamedResponse
from voiced.web.transcription_answers import (
    DurationUsage,
    TextDelta,
    TextDone,
    TranscriptionAnswer,
    TranscriptionEvent,
    make_verbose,
)
from voiced.web.transcription_form import (
    TranscriptionForm,
    bad,
    check_engine,
    choose_language,
    read_form,
)
from voiced.web.upload import MULTIPART, receive_form

if TYPE_CHECKING:
    from voiced.web.services import Services
    from voiced.web.streaming import Put
    from voiced.web.upload import Form

log = structlog.get_logger()

PLAIN = "text/plain; charset=utf-8"


def transcription_routes(services: Services) -> Blueprint:
    """Return the route that transcribes with the engine of `services`."""
    routes = Blueprint("transcriptions", __name__)
    limits = services.settings.limits
    slots = Slots(limits.transcriptions, "recordings")
    spool = Spool(state_directory(services.settings.store) / SPOOL_DIRECTORY)

    @routes.post("/v1/audio/transcriptions")
    @documents(
        "Transcribe a recording",
        tag="audio",
        request={MULTIPART: TranscriptionForm},
        answers={
            200: Answer(
                "What was said.",
                {
                    JSON: TranscriptionAnswer,
                    "text/plain": str,
                    "text/event-stream": EventStream(TranscriptionEvent),
                },
            )
        },
    )
    async def transcriptions() -> Response:
        """Any file with sound in it, of any length up to `limits.recording_s`.

        It is recognised by what is in it: names and declared types do not matter. The model that
        is named does not either. With `stream=true` text comes as it is understood.
        """
        headers, body, remote = request.headers, request.body, request.remote_addr

        async def produce(put: Put) -> None:
            with slots.take():
                async with receive_form(
                    headers, body, spool, max_bytes=round(limits.upload_mb * 1e6)
                ) as form:
                    await _Task(services, form, remote).answer(response, put)

        response = StreamedResponse(produce, JSON, failure=None)
        return response

    return routes


class _Task:
    """One recording to be transcribed."""

    def __init__(self, services: Services, form: Form, remote: str | None) -> None:
        self._remote = remote
        self._form = read_form(form.fields)
        if not form.has_file:
            raise bad("file", "Missing required parameter: 'file'.", "missing_required_parameter")
        info = services.stt.info
        check_engine(self._form, info)
        self._transcriber = Transcriber(
            stt=services.stt,
            language=choose_language(self._form, info, services.settings.stt),
            prompt=self._form.hint(),
            word_times=self._form.wants_word_times,
        )
        self._job = self._form.job(decode_job(services.settings))
        self._file = form.file
        self._passages: list[Passage] = []

    async def answer(self, response: StreamedResponse, put: Put) -> None:
        """Transcribe and answer, in the format that was asked for."""
        if self._form.stream:
            await self._stream(response, put)
            return

        async def heard(one: Heard) -> None:
            self._passages.append(one.passage)

        duration_s = await transcribe_recording(
            self._file.fileno(), self._job, self._transcriber, heard
        )
        body = self._render(duration_s)
        if not self._is_json():
            response.content_type = PLAIN
        response.content_length = len(body)
        self._tell(duration_s)
        await put(body)

    async def _stream(self, response: StreamedResponse, put: Put) -> None:
        response.content_type = CONTENT_TYPE
        response.failure = encode_failure
        said: list[str] = []

        async def heard(one: Heard) -> None:
            if text := one.passage.text:
                delta = f" {text}" if said else text
                said.append(delta)
                await put(encode_event(TextDelta(delta)))

        duration_s = await transcribe_recording(
            self._file.fileno(), self._job, self._transcriber, heard
        )
        self._tell(duration_s)
        await put(encode_event(TextDone("".join(said))) + DONE)

    def _is_json(self) -> bool:
        return self._form.response_format in ("json", "verbose_json")

    def _render(self, duration_s: float) -> bytes:
        passages = self._passages
        match self._form.response_format:
            case "text":
                return f"{join_text(passages)}\n".encode()
            case "srt":
                return write_srt(list_segments(passages)).encode()
            case "vtt":
                return write_vtt(list_segments(passages)).encode()
            case "verbose_json":
                found = (passage.language for passage in passages if passage.language)
                language = next(found, self._transcriber.language)
                return msgspec.json.encode(
                    make_verbose(passages, self._form, language=language, duration_s=duration_s)
                )
            case _:
                usage = DurationUsage(seconds=round(duration_s, 3))
                return msgspec.json.encode(
                    TranscriptionAnswer(text=join_text(passages), usage=usage)
                )

    def _tell(self, duration_s: float) -> None:
        log.info(
            "transcribed",
            remote=self._remote,
            seconds=round(duration_s, 1),
            file_bytes=self._file.size,
        )
