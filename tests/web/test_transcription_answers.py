"""What is answered about a recording: its segments and words, and their times."""

from __future__ import annotations

from typing import Any

from voiced.engines.ports import Timed
from voiced.media.transcribing import Passage
from voiced.media.transcripts import list_segments
from voiced.web.transcription_answers import make_verbose
from voiced.web.transcription_form import TranscriptionForm


def passage(start_s: float, end_s: float, text: str, **more: Any) -> Passage:  # noqa: ANN401
    return Passage(start_s=start_s, end_s=end_s, text=text, confidence=0.5, speech_prob=0.9, **more)


WORDS = (Timed(start=0.25, end=0.4, text="turn"), Timed(start=0.4, end=1.45, text="on"))


def test_a_segment_holds_its_words() -> None:
    heard = [passage(0.32, 1.41, "turn on", words=WORDS), passage(2.0, 3.0, "the lamp")]
    first, second = list_segments(heard)
    assert (first.start, first.end) == (0.25, 1.45)
    assert (second.start, second.end) == (2.0, 3.0)


def test_the_engines_own_segments_go_first_and_silence_is_none() -> None:
    own = (Timed(start=0.5, end=0.7, text="turn"), Timed(start=0.7, end=1.0, text="on"))
    heard = [passage(0.0, 1.0, "turn on", segments=own, words=WORDS), passage(1.0, 2.0, "")]
    assert list_segments(heard) == list(own)


def test_what_is_asked_for_is_there_and_nothing_else() -> None:
    heard = [passage(0.3, 1.4, "turn on", words=WORDS)]
    for asked in ([], ["segment"], ["word"], ["word", "segment"]):
        form = TranscriptionForm(file=b"", timestamp_granularities=asked)  # type: ignore[arg-type]
        answer = make_verbose(heard, form, language="en", duration_s=1.5)
        assert bool(answer.segments) is (asked != ["word"])
        assert bool(answer.words) is ("word" in asked)
        if answer.segments:
            assert answer.segments[0].avg_logprob < 0
            assert (answer.segments[0].seek, answer.segments[0].id) == (25, 0)
