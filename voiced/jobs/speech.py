"""Jobs of the kind `speech`: a long text, plain or in Markdown, to a file of sound.

Sentence by sentence is spoken into a file of samples, which is all that a run leaves to the next
one. From that file the result is made at the end, with a codec where the format takes one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np
import trio
from msgspec import Meta

from voiced.audio.pcm import SAMPLE_BYTES, bytes_for_ms
from voiced.engines.ports import Priority
from voiced.engines.tts.spoken import SpokenText
from voiced.engines.tts.voices import Voices
from voiced.errors import EngineCrashed, SpeechError
from voiced.jobs.journal import in_thread, open_journal
from voiced.jobs.kind import INPUT_NAME, JobFrame, JobRefused, JobRequest
from voiced.jobs.speech_file import finish_file
from voiced.media.formats import ENCODED, MEDIA_TYPES, Format
from voiced.media.reading import read_sentences
from voiced.media.speaking import RATE_HZ, Speech, Voice
from voiced.media.wav import HEAD_BYTES

if TYPE_CHECKING:
    from voiced.engines.ports import Tts
    from voiced.jobs.journal import Journal
    from voiced.jobs.kind import TakesFile, Work
    from voiced.media.reading import Sentence
    from voiced.settings import Settings

JOURNAL_NAME: Final = "samples"
"""In the job's directory: room for the head of a WAV file, and PCM16 mono at `RATE_HZ`."""

SENTENCE_PAUSE_MS: Final = 300
PARAGRAPH_PAUSE_MS: Final = 700
"""Of quiet between two of them, with that which the engine leaves itself."""

QUIET: Final = 200
"""Samples below that are no sound: 44 dB below full scale, and far above what codecs hide."""

_SPOKEN_PERCENT: Final = 95.0
"""Where a codec follows: it takes a twentieth of the time that speaking does, and less."""

_BEGINNING: Final = bytes(HEAD_BYTES)


class SpeechRequest(JobRequest, frozen=True, kw_only=True, tag_field="type", tag="speech"):
    """What to say, in `input` or in the file of the form, and how."""

    input: str = ""
    voice: Annotated[str, Meta(max_length=200)] = ""
    """The engine's, or one of OpenAI's; "" is that of the settings."""
    speed: Annotated[float, Meta(ge=0.25, le=4)] | None = None
    response_format: Format = "mp3"
    pause_ms: Annotated[int, Meta(ge=0, le=10_000)] = PARAGRAPH_PAUSE_MS
    """Between two paragraphs."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: how many sentences of the text were dealt with, how long the file of samples
    is, how much of its end is quiet, and whether a paragraph ended there."""

    sentences: int = 0
    journal_bytes: int = 0
    quiet_bytes: int = 0
    paragraph_ended: bool = False
    spoken: bool = False
    """All of the text."""

    @property
    def pcm_bytes(self) -> int:
        return max(0, self.journal_bytes - HEAD_BYTES)

    @property
    def seconds(self) -> float:
        """How long the speech is so far."""
        return self.pcm_bytes / (SAMPLE_BYTES * RATE_HZ)


class SpeechKind:
    """The kind. `most_characters` bounds the texts."""

    name = "speech"
    request_type = SpeechRequest
    takes_file: TakesFile = "optional"

    def __init__(self, settings: Settings, tts: Tts, *, most_characters: int) -> None:
        self._settings = settings
        self._tts = tts
        self._voices = Voices(settings.tts, tts)
        self._most = most_characters

    def check(self, request: SpeechRequest, *, has_file: bool) -> SpeechRequest:
        """Raise `JobRefused` where there is no text, or two, or one that is too long, or no such
        voice."""
        if has_file and request.input:
            message = "'input' and 'file' are both given: the text can be in one of them."
            raise JobRefused(message, param="input")
        if not has_file and not request.input.strip():
            message = "'input' is missing: the text to speak, which may also be the 'file'."
            raise JobRefused(message, param="input")
        self._check_length(request.input, "input")
        if request.voice and not self._voices.has(request.voice):
            message = f"'voice': the engine {self._tts.info.name} has no {request.voice!r}."
            raise JobRefused(message, param="voice")
        return request

    async def run(self, work: Work) -> None:
        """See `JobKind.run`."""
        request: SpeechRequest = work.request
        point = Point()
        if work.checkpoint is not None:
            point = msgspec.msgpack.decode(work.checkpoint, type=Point)
        samples = work.directory / JOURNAL_NAME
        result = work.directory / f"speech.{request.response_format}"
        if not point.spoken:
            text = await self._read_text(work)
            async with open_journal(samples, point.journal_bytes) as journal:
                await _Reading(work, self._speech(request), self._tts, journal, point).read(text)
        await work.pause_point()
        await finish_file(work, samples, result, from_percent=_spoken_percent(request))
        await work.publish(result.name, MEDIA_TYPES[request.response_format])

    def _speech(self, request: SpeechRequest) -> Speech:
        tts = self._settings.tts
        return Speech(
            pieces=(),
            language=self._settings.stt.language,
            voice=self._voices.resolve(request.voice),
            speed=tts.speed if request.speed is None else request.speed,
            priority=Priority.JOB,
        )

    async def _read_text(self, work: Work) -> str:
        request: SpeechRequest = work.request
        if request.input:
            return request.input
        path = work.directory / INPUT_NAME
        # Four bytes are the longest character of UTF-8, and of UTF-16.
        size = (await in_thread(path, path.stat)).st_size
        if size > 4 * self._most:
            raise self._too_long("file")
        text = decode_text(await in_thread(path, Path.read_bytes, path))
        self._check_length(text, "file")
        return text

    def _check_length(self, text: str, field: str) -> None:
        if len(text) > self._most:
            raise self._too_long(field)

    def _too_long(self, field: str) -> JobRefused:
        message = f"'{field}' is too long: a text may have {self._most} characters."
        return JobRefused(message, param=field)


def decode_text(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with its mark. Raises `JobRefused` for anything else."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        message = "'file' is no text: it must be plain text or Markdown, in UTF-8."
        raise JobRefused(message, param="file")
    return text


def _spoken_percent(request: SpeechRequest) -> float:
    return _SPOKEN_PERCENT if request.response_format in ENCODED else 99.0


class _Reading:
    """One run along a text, from a checkpoint on."""

    def __init__(
        self, work: Work, speech: Speech, tts: Tts, journal: Journal, point: Point
    ) -> None:
        self._work = work
        self._speech = speech
        self._tts = tts
        self._journal = journal
        self._point = point
        self._quiet_bytes = point.quiet_bytes
        self._paragraph_ended = point.paragraph_ended

    async def read(self, text: str) -> None:
        """Speak the rest. Raises `SpeechError` where nothing in the whole text can be said."""
        spoken = SpokenText(self._speech.voice, self._speech.language)
        for number, sentence in enumerate(read_sentences(text)):
            await trio.lowlevel.checkpoint()
            heard = spoken.clause(sentence.text)  # of what was said too: code goes over sentences
            if number < self._point.sentences:
                continue
            if heard:
                await self._say(heard)
                await self._keep(number + 1, sentence)
                await self._work.pause_point()
            else:
                self._paragraph_ended |= sentence.ends_paragraph
        if not self._point.pcm_bytes:
            raise SpeechError("There is nothing in the text that could be said.")
        self._point = msgspec.structs.replace(self._point, spoken=True)
        await self._work.commit(msgspec.msgpack.encode(self._point))

    async def _say(self, heard: str) -> None:
        """Twice, where the engine crashes: it was perhaps killed for somebody else's text."""
        begin = self._journal.size
        if not begin:
            await self._journal.append(_BEGINNING)
        await self._pause()
        size = self._journal.size
        began = trio.current_time()
        try:
            await self._say_once(heard)
        except EngineCrashed:
            if self._journal.size != size:
                raise  # half of it is there; the next run begins behind the sentence before
            await self._say_once(heard)
        self._work.timing(self._tts.info.name, trio.current_time() - began)

    async def _say_once(self, heard: str) -> None:
        voice = Voice(self._speech, self._tts, self._put)
        await voice.say(heard)
        await voice.finish()

    async def _pause(self) -> None:
        self._start_bytes = self._journal.size
        if not self._point.sentences:
            return
        request: SpeechRequest = self._work.request
        wanted_ms = request.pause_ms if self._paragraph_ended else SENTENCE_PAUSE_MS
        missing = bytes_for_ms(wanted_ms, RATE_HZ) - self._quiet_bytes
        await self._journal.append(bytes(max(0, missing)))
        self._start_bytes = self._journal.size

    async def _put(self, pcm: bytes) -> None:
        loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(np.int32)) >= QUIET)
        if len(loud):
            self._quiet_bytes = len(pcm) - SAMPLE_BYTES * (int(loud[-1]) + 1)
        else:
            self._quiet_bytes += len(pcm)
        await self._journal.append(pcm)

    async def _keep(self, sentences: int, sentence: Sentence) -> None:
        size = await self._journal.sync()
        self._paragraph_ended = sentence.ends_paragraph
        point = Point(
            sentences=sentences,
            journal_bytes=size,
            quiet_bytes=self._quiet_bytes,
            paragraph_ended=sentence.ends_paragraph,
        )
        start_s = (self._start_bytes - HEAD_BYTES) / (SAMPLE_BYTES * RATE_HZ)
        frame = JobFrame(
            text=sentence.text, start_s=round(start_s, 3), end_s=round(point.seconds, 3)
        )
        percent = sentence.done * _spoken_percent(self._work.request)
        await self._work.commit(msgspec.msgpack.encode(point), (frame,), percent)
        self._work.progress(percent)
        self._point = point
