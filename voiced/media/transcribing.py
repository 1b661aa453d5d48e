"""A recording of any length to text, stretch by stretch, with bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio

from voiced.engines.ports import Priority, Stt, Timed
from voiced.errors import EngineCrashed
from voiced.media import wire
from voiced.media.coders import open_decoder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from voiced.engines.ports import Transcript
    from voiced.settings import Settings

FEED_BYTES = 64 * 1024


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech and its transcript, all times in seconds of the recording.

    `start_s` to `end_s` is the speech itself; `text` is empty where nothing was understood.
    `speech_prob` is Silero's mean probability that somebody speaks there.
    """

    start_s: float
    end_s: float
    text: str
    confidence: float
    speech_prob: float
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    language: str = ""
    segments: tuple[Timed, ...] = ()
    words: tuple[Timed, ...] = ()


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A passage, `engine_s` that the engine took for it, waits included, and where the cutting
    stands behind it. `duration_s` is how long the recording claims to be."""

    passage: Passage
    engine_s: float
    after: wire.CutPoint
    duration_s: float | None


def decode_job(settings: Settings, *, whole: bool = False) -> wire.DecodeJob:
    """Cut as conversations are cut into turns; `whole` only where a stretch gets too long."""
    turns = settings.turn_detection
    return wire.DecodeJob(
        max_s=settings.limits.recording_s,
        threshold=turns.threshold,
        silence_ms=turns.silence_duration_ms,
        prefix_ms=turns.prefix_padding_ms,
        acoustic_end=settings.vad.acoustic_end,
        longest_s=wire.LONGEST_STRETCH_S if whole else wire.STRETCH_S,
        whole=whole,
    )


class Transcriber(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording is transcribed with."""

    stt: Stt
    language: str
    prompt: str = ""
    word_times: bool = False
    priority: Priority = Priority.CONVERSATION


async def transcribe_recording(
    file_descriptor: int,
    job: wire.DecodeJob,
    transcriber: Transcriber,
    heard: Callable[[Heard], Awaitable[None]],
    advance: Callable[[float, float | None], None] = lambda position_s, duration_s: None,
) -> float:
    """Transcribe the recording that is open as `file_descriptor`; returns its length in seconds.

    `heard` is given each passage as soon as it is understood, `advance` how far the recording
    was read, and its length where it claims one. While a stretch is transcribed the next one is
    decoded, and no more. With `job.resume` it goes on behind what was heard once: the recording is
    decoded again from its beginning, since only that gives the very same sound, but not listened
    to. Raises `AudioError` where it is no recording, and `EngineError`;
    cancelling ends both the decoder and the engine's work.
    """
    duration_s: float | None = None
    async with open_decoder(file_descriptor, job) as decoder:
        while True:
            message = await decoder.receive()
            if isinstance(message, wire.Stretch):
                began = trio.current_time()
                transcript = await _transcribe(message.pcm, transcriber)
                engine_s = trio.current_time() - began
                passage = _passage(message, transcript)
                await heard(
                    Heard(
                        passage=passage,
                        engine_s=engine_s,
                        after=message.after,
                        duration_s=duration_s,
                    )
                )
                advance(message.end_s, duration_s)
            elif isinstance(message, wire.Opened):
                duration_s = message.duration_s
            elif isinstance(message, wire.Progress):
                advance(message.position_s, duration_s)
            elif isinstance(message, wire.Done):
                return message.duration_s


async def _transcribe(pcm: bytes, transcriber: Transcriber) -> Transcript:
    """One stretch. An engine that crashes on it is given it once more: it was perhaps killed for
    somebody else's audio, and an hour of work would be lost."""
    try:
        return await _transcribe_once(pcm, transcriber)
    except EngineCrashed:
        return await _transcribe_once(pcm, transcriber)


async def _transcribe_once(pcm: bytes, transcriber: Transcriber) -> Transcript:
    async with transcriber.stt.transcribe(
        language=transcriber.language,
        prompt=transcriber.prompt,
        word_times=transcriber.word_times,
        priority=transcriber.priority,
    ) as utterance:
        for start in range(0, len(pcm), FEED_BYTES):
            await utterance.feed(pcm[start : start + FEED_BYTES])
            await trio.lowlevel.checkpoint()
        return await utterance.finish()


def _passage(stretch: wire.Stretch, transcript: Transcript) -> Passage:
    def placed(parts: tuple[Timed, ...]) -> tuple[Timed, ...]:
        return tuple(
            msgspec.structs.replace(
                part, start=stretch.start_s + part.start, end=stretch.start_s + part.end
            )
            for part in parts
        )

    return Passage(
        start_s=stretch.speech_start_s,
        end_s=stretch.speech_end_s,
        text=transcript.text.strip(),
        confidence=transcript.confidence,
        speech_prob=stretch.speech_prob,
        avg_logprob=transcript.avg_logprob,
        no_speech_prob=transcript.no_speech_prob,
        language=transcript.language,
        segments=placed(transcript.segments),
        words=placed(transcript.words),
    )
