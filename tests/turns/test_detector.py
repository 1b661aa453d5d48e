"""End-of-turn detection, on made-up probabilities and levels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from voiced.turns.detector import (
    BACKDATE_MS,
    CHUNK,
    FRAME,
    SAMPLES_PER_MS,
    Started,
    Stopped,
    TurnDetector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

VOICE, ROOM = 0.2, 0.001


def chunk(*levels: float) -> NDArray[np.float32]:
    """A chunk whose four frames of 8 ms have these levels (RMS); one level is for all."""
    frames = levels if len(levels) > 1 else levels * (CHUNK // FRAME)
    signs = np.where(np.arange(FRAME) % 2, 1.0, -1.0)
    return np.concatenate([level * signs for level in frames]).astype(np.float32)


def feed(detector: TurnDetector, chunks: Iterable[tuple[float, float]]) -> list[Started | Stopped]:
    changes = [detector.push(probability, chunk(level)) for probability, level in chunks]
    return [change for change in changes if change is not None]


def speaking(detector: TurnDetector, chunks: int = 10) -> None:
    feed(detector, [(0.01, ROOM)] * 10)
    assert feed(detector, [(0.9, VOICE)] * chunks)


def test_a_click_of_one_chunk_is_no_speech() -> None:
    detector = TurnDetector()
    assert feed(detector, [(0.0, ROOM), (0.99, VOICE), (0.0, ROOM)] * 5) == []
    assert not detector.speaking
    # and the control: two chunks in a row are
    assert feed(detector, [(0.99, VOICE)] * 2) == [Started(15 * CHUNK)]


def test_silence_is_counted_from_where_the_sound_fell() -> None:
    detector = TurnDetector()
    speaking(detector)
    fell = detector.position
    # Silero stays high for two chunks after the last sound.
    changes = feed(detector, [(0.9, ROOM)] * 2 + [(0.05, ROOM)] * 10)
    assert len(changes) == 1
    stopped = changes[0]
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fell
    assert stopped.sample - fell == pytest.approx(200 * SAMPLES_PER_MS, abs=CHUNK)


def test_without_acoustic_end_it_is_counted_from_sileros_own_fall() -> None:
    detector = TurnDetector(acoustic_end=False)
    speaking(detector)
    fell = detector.position
    (stopped,) = feed(detector, [(0.9, ROOM)] * 2 + [(0.05, ROOM)] * 10)
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fell + 2 * CHUNK


def test_it_is_never_backdated_by_more_than_the_bound() -> None:
    detector = TurnDetector()
    speaking(detector)
    feed(detector, [(0.9, ROOM)] * 20)  # a long quiet stretch that Silero takes for speech
    fall = detector.position
    (stopped,) = feed(detector, [(0.05, ROOM)] * 10)
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fall - BACKDATE_MS * SAMPLES_PER_MS


def test_sound_after_sileros_fall_does_not_move_the_end_beyond_it() -> None:
    detector = TurnDetector()
    speaking(detector)
    fall = detector.position
    (stopped,) = feed(detector, [(0.05, VOICE)] * 10)  # loud, but no speech: a radio
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fall


def test_the_end_lies_inside_a_chunk_where_the_sound_did() -> None:
    detector = TurnDetector()
    speaking(detector)
    begin = detector.position
    detector.push(0.9, chunk(VOICE, VOICE, ROOM, ROOM))
    (stopped,) = feed(detector, [(0.05, ROOM)] * 10)
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == begin + 2 * FRAME


def test_speech_between_the_two_thresholds_neither_starts_nor_ends_a_turn() -> None:
    detector = TurnDetector()
    between = detector.threshold - 0.1
    assert feed(detector, [(between, VOICE)] * 20) == []
    speaking(detector)
    assert feed(detector, [(between, VOICE)] * 20) == []
    assert detector.speaking


def test_silence_begins_anew_after_more_speech() -> None:
    detector = TurnDetector()
    speaking(detector)
    assert feed(detector, [(0.05, ROOM)] * 5 + [(0.9, VOICE)]) == []
    assert detector.deadline is None
    assert len(feed(detector, [(0.05, ROOM)] * 7)) == 1


@pytest.mark.parametrize("threshold", [0.05, 0.1, 0.15, 0.5, 0.9, 1.0])
def test_speech_ends_under_any_threshold(threshold: float) -> None:
    detector = TurnDetector()
    detector.threshold = threshold
    assert isinstance(feed(detector, [(1.0, VOICE)] * 4)[0], Started)
    assert isinstance(feed(detector, [(0.001, ROOM)] * 12)[0], Stopped)


def test_quiet_ends_the_turn_inside_a_chunk() -> None:
    detector = TurnDetector()
    speaking(detector)
    feed(detector, [(0.05, ROOM)] * 6)
    due = detector.deadline
    assert due is not None
    short_of = due - detector.position
    assert 0 < short_of < CHUNK
    assert detector.quiet(short_of - 1, ROOM) is None
    assert detector.quiet(short_of, VOICE) is None  # somebody goes on speaking
    stopped = detector.quiet(short_of, ROOM)
    assert stopped is not None
    assert stopped.sample == due
    assert not detector.speaking
    assert detector.quiet(CHUNK, ROOM) is None  # once


def test_a_noisy_room_is_learned() -> None:
    noise = 0.02
    detector = TurnDetector()
    feed(detector, [(0.01, ROOM)] * 10)
    feed(detector, [(0.01, noise)] * 100)  # the fan goes on
    feed(detector, [(0.9, VOICE)] * 10)
    fell = detector.position
    (stopped,) = feed(detector, [(0.9, noise)] * 2 + [(0.05, noise)] * 10)
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fell
    # the control: a room that became noisy only while somebody spoke is taken for the voice
    detector = TurnDetector()
    speaking(detector)
    fell = detector.position
    (stopped,) = feed(detector, [(0.9, noise)] * 2 + [(0.05, noise)] * 10)
    assert isinstance(stopped, Stopped)
    assert stopped.speech_end == fell + 2 * CHUNK


def test_a_longer_silence_is_asked_for() -> None:
    detector = TurnDetector()
    detector.silence_samples = 800 * SAMPLES_PER_MS
    speaking(detector)
    assert feed(detector, [(0.05, ROOM)] * 24) == []
    assert len(feed(detector, [(0.05, ROOM)] * 2)) == 1


def test_reset_ends_speech_without_a_word_and_skip_keeps_the_clock() -> None:
    detector = TurnDetector()
    speaking(detector)
    at = detector.position
    detector.reset()
    detector.skip(1000)
    assert not detector.speaking
    assert feed(detector, [(0.05, ROOM)] * 20) == []
    assert detector.position == at + 1000 + 20 * CHUNK
