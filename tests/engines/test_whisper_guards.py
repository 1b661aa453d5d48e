"""The pure parts of the Whisper engine: guards, agreement of hypotheses, windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.engines.stt.whisper_agreement import Agreement
from voiced.engines.stt.whisper_guards import (
    LEAST_LOOP,
    compression,
    find_loop,
    is_invented,
    is_repetitive,
    token_cap,
)
from voiced.engines.stt.whisper_model import join_marks, window_frames
from voiced.engines.stt.whisper_windows import (
    RATE,
    SEARCHED,
    WINDOW,
    adds_nothing,
    find_cut,
    to_samples,
)


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([], None),
        (list(range(200)), None),
        ([7] * (LEAST_LOOP - 1), None),  # "no, no, no" is speech
        ([1, 2, 3] + [7] * LEAST_LOOP, [1, 2, 3, 7]),
        ([1, 2, 3, 4, 5] * 3, None),
        ([9] + [1, 2, 3, 4, 5] * 4, [9, 1, 2, 3, 4, 5]),
        ([9] + [1, 2, 3, 4, 5] * 4 + [1, 2], [9, 1, 2, 3, 4, 5]),  # in the middle of a round
        ([1, 2] * 20 + [3, 4, 5], None),  # it has got out of it
    ],
)
def test_a_loop_is_found_where_the_tokens_end_in_one(
    tokens: list[int], kept: list[int] | None
) -> None:
    found = find_loop(tokens)
    if kept is None:
        assert found is None
    else:
        assert found is not None
        # A loop may be cut at any point of its round; no word of it is there twice.
        assert len(tokens[:found]) <= len(kept) + 5
        assert tokens[:found][: len(kept)] == kept


@given(
    st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(4, 9), min_size=1, max_size=24)
)
def test_every_phrase_said_often_enough_is_a_loop(before: list[int], phrase: list[int]) -> None:
    rounds = max(4, -(-LEAST_LOOP // len(phrase)))
    assert find_loop(before + phrase * rounds) is not None


def test_repetition_is_seen_by_compression() -> None:
    said = "Set a timer for five minutes, please, and turn on the lamp in the kitchen."
    assert not is_repetitive(said)
    assert is_repetitive("thank you for watching " * 8)
    assert compression("") == 0.0


def test_text_is_invented_only_where_both_signs_say_so() -> None:
    assert is_invented(0.9, -1.5)
    assert not is_invented(0.9, -0.2)  # sure of what was said
    assert not is_invented(0.1, -1.5)  # mumbled, but speech


def test_fast_speech_stays_below_the_cap() -> None:
    assert token_cap(3.0) >= 3 * 10
    assert token_cap(0.0) >= 16


# -- agreement ----------------------------------------------------------------------------


def test_a_word_is_shown_once_two_hypotheses_have_it() -> None:
    agreement = Agreement()
    assert agreement.push([" turn"]) == ""
    assert agreement.push([" turn", " on"]) == "turn"
    assert agreement.push([" turn", " of", " the"]) == "turn"
    assert agreement.push([" turn", " off", " the", " lamp"]) == "turn"
    assert agreement.push([" turn", " off", " the", " lamp."]) == "turn off the lamp."


def test_marks_and_capitals_are_no_disagreement() -> None:
    agreement = Agreement()
    agreement.push([" What", " time."])
    assert agreement.push([" what", " time", " is"]) == "what time"


def test_a_settled_hypothesis_counts_to_its_end() -> None:
    agreement = Agreement()
    agreement.push([" turn"])
    agreement.push([" turn", " on"])
    assert agreement.settle([" turn", " on", " it"]) == "turn on it"


@given(st.lists(st.lists(st.sampled_from([" a", " b", " c", " A,", "."]), max_size=6)))
def test_what_was_shown_is_never_taken_back(hypotheses: list[list[str]]) -> None:
    agreement = Agreement()
    shown = ""
    for words in hypotheses:
        now = agreement.push(words)
        assert now.startswith(shown)
        shown = now


# -- windows ------------------------------------------------------------------------------


@given(st.integers(0, WINDOW))
def test_a_window_holds_the_audio_and_silence_behind_it(samples: int) -> None:
    frames = window_frames(samples, full=False)
    assert frames % 2 == 0
    assert 160 < frames <= 3000  # half of 160 is the number of bands: never that many
    assert frames * 160 >= min(samples + 15_900, WINDOW)
    assert window_frames(samples, full=True) == 3000


def test_a_long_recording_is_cut_in_the_middle_of_its_quietest_pause() -> None:
    samples = np.random.default_rng(3).standard_normal(WINDOW).astype(np.float32) * 0.1
    pauses = {"early": (5.0, 7.0), "long": (24.0, 24.5), "short": (28.0, 28.05)}
    for begin, end in pauses.values():
        samples[int(begin * RATE) : int(end * RATE)] *= 0.001
    assert (
        pauses["long"][0] < find_cut(samples, WINDOW - SEARCHED, WINDOW) / RATE < pauses["long"][1]
    )


@pytest.mark.parametrize("starts_s", [[24.0], [22.0, 27.0]])
def test_the_cut_leaves_as_much_silence_to_either_side(starts_s: list[float]) -> None:
    """Of pauses alike in length and quiet it is in the last one."""
    samples = np.random.default_rng(3).standard_normal(WINDOW).astype(np.float32) * 0.1
    for start in starts_s:
        samples[int(start * RATE) : int((start + 0.2) * RATE)] = 0
    assert find_cut(samples, WINDOW - SEARCHED, WINDOW) == int((starts_s[-1] + 0.1) * RATE)


def test_without_a_pause_it_is_cut_in_its_last_third() -> None:
    samples = np.random.default_rng(3).standard_normal(WINDOW).astype(np.float32) * 0.1
    assert WINDOW - SEARCHED <= find_cut(samples, WINDOW - SEARCHED, WINDOW) <= WINDOW


def test_quiet_behind_speech_adds_nothing_and_a_word_does() -> None:
    noise = np.random.default_rng(3).standard_normal(RATE).astype(np.float32)
    speech = noise * 0.1
    assert adds_nothing(speech, speech[:0])
    assert adds_nothing(speech, noise * 0.001)
    assert not adds_nothing(speech, np.concatenate([noise[:3_000] * 0.001, noise[:400] * 0.05]))
    assert not adds_nothing(speech[:0], speech)


def test_in_a_noisy_room_the_noise_goes_on_and_adds_nothing() -> None:
    noise = np.random.default_rng(3).standard_normal(3 * RATE).astype(np.float32)
    speech = noise[:RATE] * 0.1
    # A room 20 dB below the speech.
    room, later = noise[:RATE] * 0.01, noise[RATE : 2 * RATE] * 0.01
    before = np.concatenate([room, speech])
    assert adds_nothing(before, later)
    assert not adds_nothing(speech, later)  # where the room was not heard before
    assert not adds_nothing(before, later * 3)
    assert not adds_nothing(np.concatenate([room * 4, speech]), later * 4)  # no telling apart


def test_half_a_sample_at_the_end_is_left_out() -> None:
    assert to_samples(b"\x00\x40\x00\xc0\x01").tolist() == [0.5, -0.5]


# -- words --------------------------------------------------------------------------------


def test_punctuation_stays_with_its_word() -> None:
    words = [" He", " said", ",", ' "', "stop", "!", '"', " (", "twice", ")."]
    joined = join_marks(words, list(range(len(words) + 1)))
    assert [word for word, _, _ in joined] == [" He", " said,", ' "stop!"', " (twice)."]
    times = [(start, end) for _, start, end in joined]
    assert times[1:3] == [(1, 2), (3, 5)]  # a mark takes no time of its word
