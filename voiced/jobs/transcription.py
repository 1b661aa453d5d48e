"""Jobs of the kind `transcription`: an audio or video file of any length to text.

After each stretch of speech it is kept what was understood, and where the cutting of the recording
stands. So a run that was broken off, wherever that was, is continued with the very same stretches.
"""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from voiced.engines.languages import known_languages, understands
from voiced.engines.ports import Priority
from voiced.errors import DecodingFailed
from voiced.jobs.journal import in_thread, open_journal, write_result
from voiced.jobs.kind import INPUT_NAME, JobFrame, JobRefused, JobRequest
from voiced.media import wire
from voiced.media.transcribing import Heard, Passage, Transcriber, decode_job, transcribe_recording
from voiced.media.transcripts import (
    TRANSCRIPT_TYPES,
    TranscriptFormat,
    list_segments,
    render_transcript,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from voiced.engines.ports import Stt
    from voiced.jobs.journal import Journal
    from voiced.jobs.kind import TakesFile, Work
    from voiced.settings import Settings

JOURNAL_NAME: Final = "passages"
"""In the job's directory: what was understood, a line of JSON for each passage."""

MOST_PROMPT: Final = 2_000

NO_SPEECH = "No speech was found in the recording."
NOTHING_UNDERSTOOD = "There was speech, and nothing of it was understood."
"""Said where a result is empty all the same: whoever sees an empty file asks why."""


class TranscriptionRequest(
    JobRequest, frozen=True, kw_only=True, tag_field="type", tag="transcription"
):
    """A recording to transcribe, and how. It comes as the file of the form."""

    language: Annotated[str, Meta(max_length=35)] = ""
    """What is spoken, as in `en`; "" is the language of the settings."""
    prompt: Annotated[str, Meta(max_length=MOST_PROMPT)] = ""
    """What the engine is told to expect: names, say."""
    response_format: TranscriptFormat = "json"
    """Of the result. JSON has everything."""
    word_times: bool = True
    """Find out when each word was said, if the engine can: it makes better subtitles too."""
    whole: bool = False
    """Leave no silence out, and cut only where a stretch would get too long."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: how the recording is cut, and from where on, what was kept of it so far, and
    by which engine. `duration_s` is known once all of it was heard."""

    job: wire.DecodeJob
    journal_bytes: int = 0
    engine: str = ""
    language: str = ""
    duration_s: float | None = None


class Transcription:
    """The kind. `max_s` bounds the recordings."""

    name = "transcription"
    request_type = TranscriptionRequest
    takes_file: TakesFile = "required"

    def __init__(self, settings: Settings, stt: Stt, *, max_s: float) -> None:
        self._settings = settings
        self._stt = stt
        self._max_s = max_s

    def check(self, request: TranscriptionRequest, *, has_file: bool) -> TranscriptionRequest:
        """Raise `JobRefused` for a language that the engine does not know, or without a file."""
        if not has_file:
            raise JobRefused("'file' is missing: the recording to transcribe.", param="file")
        info = self._stt.info
        if request.language and not understands(info, request.language):
            known = ", ".join(known_languages(info))
            message = f"'language': the engine {info.name} understands {known} only."
            raise JobRefused(message, param="language")
        return request

    async def run(self, work: Work) -> None:
        """See `JobKind.run`."""
        point = self._begin(work)
        broke_at: Point | None = None
        while point.duration_s is None:
            path = work.directory / JOURNAL_NAME
            async with open_journal(path, point.journal_bytes) as journal:
                run = _Run(work, self._stt, journal, point)
                try:
                    await run.hear()
                except DecodingFailed:
                    # Once more: it was perhaps killed for somebody else, who needed the memory.
                    if broke_at == run.point:
                        raise
                    broke_at = run.point
            point = run.point
        await publish_transcript(work, point)

    def _begin(self, work: Work) -> Point:
        info = self._stt.info
        engine = f"{info.name} {info.model}".strip()
        if work.checkpoint is None:
            request: TranscriptionRequest = work.request
            job = decode_job(self._settings, whole=request.whole)
            return Point(
                job=msgspec.structs.replace(job, max_s=self._max_s),
                engine=engine,
                language=request.language or self._settings.stt.language,
            )
        point = msgspec.msgpack.decode(work.checkpoint, type=Point)
        if point.engine != engine and point.duration_s is None:
            message = f"The engine changed on the way, from {point.engine} to {engine}."
            work.warn("engine_changed", message)
        return msgspec.structs.replace(point, engine=engine)


class _Run:
    """One run over the recording, from a checkpoint on."""

    def __init__(self, work: Work, stt: Stt, journal: Journal, point: Point) -> None:
        self._work = work
        self._stt = stt
        self._journal = journal
        self.point = point
        """What was committed last."""
        self._percent = 0.0

    async def hear(self) -> None:
        request: TranscriptionRequest = self._work.request
        transcriber = Transcriber(
            stt=self._stt,
            language=self.point.language,
            prompt=request.prompt,
            word_times=request.word_times,
            priority=Priority.JOB,
        )
        path = self._work.directory / INPUT_NAME
        self._file: IO[bytes] = await in_thread(path, open, path, "rb")
        with self._file:
            duration_s = await transcribe_recording(
                self._file.fileno(), self.point.job, transcriber, self._keep, self._advance
            )
        if not self._journal.size:
            self._work.warn("no_speech", NO_SPEECH)
        elif not await self._work.frames():
            self._work.warn("nothing_understood", NOTHING_UNDERSTOOD)
        self.point = msgspec.structs.replace(self.point, duration_s=duration_s)
        await self._work.commit(msgspec.msgpack.encode(self.point), (), 99.0)

    async def _keep(self, heard: Heard) -> None:
        self._count(heard.passage.end_s, heard.duration_s)
        self._work.timing(self._stt.info.name, heard.engine_s)
        await self._journal.append(msgspec.json.encode(heard.passage) + b"\n")
        self.point = msgspec.structs.replace(
            self.point,
            job=msgspec.structs.replace(self.point.job, resume=heard.after),
            journal_bytes=await self._journal.sync(),
            language=self.point.language or heard.passage.language,
        )
        checkpoint = msgspec.msgpack.encode(self.point)
        await self._work.commit(checkpoint, frames_of(heard.passage), self._percent)
        await self._work.pause_point()

    def _advance(self, position_s: float, duration_s: float | None) -> None:
        self._count(position_s, duration_s)
        self._work.progress(self._percent)

    def _count(self, position_s: float, duration_s: float | None) -> None:
        """How far it is, by time; by bytes where the recording does not say how long it is."""
        if duration_s:
            share = position_s / duration_s
        else:
            descriptor = self._file.fileno()  # the decoder's too, and so its position
            read = os.lseek(descriptor, 0, os.SEEK_CUR)
            share = read / max(1, os.fstat(descriptor).st_size)
        self._percent = max(self._percent, min(99.0, 100.0 * share))


def frames_of(passage: Passage) -> list[JobFrame]:
    """What was said, sentence by sentence where the engine tells them apart."""
    return [
        JobFrame(
            text=part.text.strip(),
            start_s=round(part.start, 3),
            end_s=round(part.end, 3),
            confidence=round(passage.confidence, 4),
            avg_logprob=passage.avg_logprob if part.avg_logprob is None else part.avg_logprob,
            no_speech_prob=(
                passage.no_speech_prob if part.no_speech_prob is None else part.no_speech_prob
            ),
            language=passage.language,
        )
        for part in list_segments([passage])
    ]


async def publish_transcript(work: Work, point: Point) -> None:
    """Write the result of a recording that was heard to its end."""
    wanted: TranscriptFormat = work.request.response_format
    path = work.directory / f"transcript.{wanted}"
    await write_transcript(work.directory, path, wanted, point)
    await work.publish(path.name, TRANSCRIPT_TYPES[wanted])


async def write_transcript(
    directory: Path, path: Path, wanted: TranscriptFormat, point: Point
) -> None:
    """Write what was kept in a job's `directory` as a transcript. Raises `StorageError`."""
    assert point.duration_s is not None
    portions = render_transcript(
        lambda: read_passages(directory),
        wanted,
        language=point.language,
        duration_s=point.duration_s,
    )
    await write_result(path, (portion.encode() for portion in portions))


def read_passages(directory: Path) -> Iterator[Passage]:
    """What was understood so far, in order. Blocks."""
    decoder = msgspec.json.Decoder(Passage)
    with (directory / JOURNAL_NAME).open("rb") as lines:
        for line in lines:
            yield decoder.decode(line)
