"""What was said in a recording, and when, as text, subtitles and segments. Pure."""

from __future__ import annotations

import zlib
from math import log
from typing import TYPE_CHECKING, Annotated, Final, Literal

from msgspec import Meta, Struct, json

from voiced.engines.ports import Timed
from voiced.media.subtitles import srt_cues, vtt_cues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from voiced.media.transcribing import Passage

TranscriptFormat = Literal["txt", "srt", "vtt", "json"]

TRANSCRIPT_TYPES: Final[dict[TranscriptFormat, str]] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
}
"""The formats of a transcript, and their media types."""

_LEAST_CONFIDENCE = 1e-4


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


def join_text(passages: Iterable[Passage]) -> str:
    """All that was said."""
    return " ".join(passage.text for passage in passages if passage.text)


def list_segments(passages: Iterable[Passage]) -> list[Timed]:
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


def make_segments(passages: Iterable[Passage], temperature: float = 0.0) -> Iterator[Segment]:
    """What was said when, with what is known of how sure it is."""
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


def make_word(word: Timed) -> Word:
    """A word and its times, to the millisecond."""
    return Word(word=word.text, start=round(word.start, 3), end=round(word.end, 3))


def render_transcript(
    passages: Callable[[], Iterable[Passage]],
    transcript_format: TranscriptFormat,
    *,
    language: str,
    duration_s: float,
) -> Iterator[str]:
    """A transcript in portions, so that none of any length is ever in memory as a whole.

    `passages` gives them all, in order, each time it is called. "txt" has a line for each; "json"
    is the real service's `verbose_json`, with the words where the engine told them.
    """
    match transcript_format:
        case "txt":
            return (f"{passage.text}\n" for passage in passages() if passage.text)
        case "srt":
            return srt_cues(_timed(passages()))
        case "vtt":
            return vtt_cues(_timed(passages()))
        case "json":
            return _render_json(passages, language, duration_s)


def _timed(passages: Iterable[Passage]) -> Iterator[Timed]:
    for passage in passages:
        yield from _parts(passage)


def _render_json(
    passages: Callable[[], Iterable[Passage]], language: str, duration_s: float
) -> Iterator[str]:
    head = {"task": "transcribe", "language": language, "duration": round(duration_s, 3)}
    yield _json(head)[:-1] + ',"text":"'
    texts = (passage.text for passage in passages() if passage.text)
    yield from _separated((_json(text)[1:-1] for text in texts), " ")
    yield '","segments":['
    yield from _separated(map(_json, make_segments(passages())), ",")
    yield '],"words":['
    words = (make_word(word) for passage in passages() for word in passage.words)
    yield from _separated(map(_json, words), ",")
    usage = {"type": "duration", "seconds": round(duration_s, 3)}
    yield '],"usage":' + _json(usage) + "}\n"


def _json(value: object) -> str:
    return json.encode(value).decode()


def _separated(parts: Iterable[str], separator: str) -> Iterator[str]:
    before = ""
    for part in parts:
        yield before + part
        before = separator
