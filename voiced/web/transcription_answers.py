"""What `/v1/audio/transcriptions` answers, in the shapes of the OpenAI API. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import UNSET, Struct, UnsetType

from voiced.media.transcripts import Segment, Word, join_text, make_segments, make_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiced.media.transcribing import Passage
    from voiced.web.transcription_form import TranscriptionForm


class DurationUsage(Struct, frozen=True, kw_only=True):
    """What was used: seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: float


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
        segments=list(make_segments(passages, form.temperature)) if "segment" in asked else UNSET,
        words=[make_word(word) for passage in passages for word in passage.words]
        if "word" in asked
        else UNSET,
        usage=DurationUsage(seconds=round(duration_s, 3)),
    )
