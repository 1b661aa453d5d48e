"""What `/v1/audio/transcriptions` answers, in the shapes of the OpenAI API. Pure."""

from __future__ import annotations

import zlib
from math import log
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from voiced.engines.ports import Timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from voiced.media.transcribing import Passage
    from voiced.web.transcription_form import TranscriptionForm

_LEAST_CONFIDENCE = 1e-4


class DurationUsage(Struct, frozen=True, kw_only=True):
    """What was used: seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: float


class Segment(Struct, frozen=True, kw_only=True):
    """One passage of a recording: times in seconds of it."""

    id: int
    seek: int
    """Where the passage begins, in hundredths of a second."""
    start: float
    end: float
    text: str
    tokens: list[int] = []
    """Empty: the engines here do not tell theirs."""
    temperature: float
    avg_logprob: Annotated[
        float,
        Meta(description="The engine's; of one without, the logarithm of its confidence."),
    ]
    compression_ratio: float
    no_speech_prob: Annotated[
        float,
        Meta(description="The engine's; of one without, what Silero finds, over the passage."),
    ]


class Word(Struct, frozen=True, kw_only=True):
    """A word of a recording: times in seconds of it."""

    word: str
    start: float
    end: float


class TranscriptionAnswer(Struct, frozen=True, kw_only=True):
    """What was said in a recording. All but `text` and `usage` is of `verbose_json` only."""

    task: Literal["transcribe"] | UnsetType = UNSET
    language: str | UnsetType = UNSET
    duration: float | UnsetType = UNSET
    text: str
    segments: list[Segment] | UnsetType = UNSET
    words: list[Word] | UnsetType = UNSET
    usage: DurationUsage


class TextDelta(Struct, tag_field="type", tag="transcript.text.delta", frozen=True):
    """Event: more of the text. All deltas together are the text."""

    delta: str


class TextDone(Struct, tag_field="type", tag="transcript.text.done", frozen=True):
    """Event: the whole text; the last event before `[DONE]`."""

    text: str


TranscriptionEvent = TextDelta | TextDone


def join_text(passages: Iterable[Passage]) -> str:
    """All that was said."""
    return " ".join(passage.text for passage in passages if passage.text)


def list_segments(passages: Sequence[Passage]) -> list[Timed]:
    """What was said when: the engine's own segments, or the passage where it gives none."""
    return [part for passage in passages for part in _parts(passage)]


def _parts(passage: Passage) -> Iterator[Timed]:
    if passage.segments:
        yield from passage.segments
    elif passage.text:
        # Silero and the engine do not agree to the hundredth when somebody begins.
        starts = [passage.start_s, *(word.start for word in passage.words[:1])]
        ends = [passage.end_s, *(word.end for word in passage.words[-1:])]
        yield Timed(start=min(starts), end=max(ends), text=passage.text)


def make_verbose(
    passages: Sequence[Passage], form: TranscriptionForm, *, language: str, duration_s: float
) -> TranscriptionAnswer:
    """The answer with times of segments, words, or both, as asked for."""
    asked = form.timestamp_granularities or ["segment"]
    return TranscriptionAnswer(
        task="transcribe",
        language=language,
        duration=round(duration_s, 3),
        text=join_text(passages),
        segments=list(_segments(passages, form.temperature)) if "segment" in asked else UNSET,
        words=[_word(word) for passage in passages for word in passage.words]
        if "word" in asked
        else UNSET,
        usage=DurationUsage(seconds=round(duration_s, 3)),
    )


def _segments(passages: Sequence[Passage], temperature: float) -> Iterator[Segment]:
    number = 0
    for passage in passages:
        for part in _parts(passage):
            yield Segment(
                id=number,
                seek=round(part.start * 100),
                start=round(part.start, 3),
                end=round(part.end, 3),
                text=part.text,
                temperature=temperature,
                avg_logprob=_logprob(passage, part),
                compression_ratio=compression_ratio(part.text),
                no_speech_prob=_no_speech(passage, part),
            )
            number += 1


def _logprob(passage: Passage, part: Timed) -> float:
    for known in (part.avg_logprob, passage.avg_logprob):
        if known is not None:
            return known
    return round(log(max(passage.confidence, _LEAST_CONFIDENCE)), 4)


def _no_speech(passage: Passage, part: Timed) -> float:
    for known in (part.no_speech_prob, passage.no_speech_prob):
        if known is not None:
            return known
    return round(min(max(1.0 - passage.speech_prob, 0.0), 1.0), 4)


def compression_ratio(text: str) -> float:
    """How much zlib shortens it, as Whisper has it: a model that repeats itself is above 2.4."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 4)


def _word(word: Timed) -> Word:
    return Word(word=word.text, start=round(word.start, 3), end=round(word.end, 3))
