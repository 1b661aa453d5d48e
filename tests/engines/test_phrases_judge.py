"""Believing what was heard: a fit as good as free phones is, a forced one is not."""

from __future__ import annotations

import math

import pytest

from voiced.engines.stt.phrases_judge import MOST_MISFIT, Stretch, judge

PHONES = [Stretch("", 0, 29, -30.0), Stretch("AA", 30, 89, -90.0), Stretch("", 90, 119, -30.0)]


def heard(loss: float, name: str = "lamps", first: int = 30, last: int = 89) -> list[Stretch]:
    """One word, `loss` nats a frame worse than the phones."""
    return [Stretch(name, first, last, -(1.5 + loss) * (last - first + 1))]


def test_a_word_that_fits_is_believed() -> None:
    verdict = judge(heard(0.5), PHONES)
    assert verdict.accepted
    assert verdict.confidence > 0.9


def test_confidence_falls_with_the_misfit_and_is_half_at_its_limit() -> None:
    confidences = [judge(heard(loss), PHONES).confidence for loss in (0.0, 1.0, 2.0, 3.0, 9.0)]
    assert confidences == sorted(confidences, reverse=True)
    assert judge(heard(MOST_MISFIT), PHONES).confidence == pytest.approx(0.5)
    assert confidences[-1] < 0.01


def test_a_word_that_was_forced_is_not() -> None:
    assert not judge(heard(3.0), PHONES).accepted


def test_one_wrong_word_is_enough() -> None:
    right, wrong = heard(0.1, "a" * 9, 30, 129), heard(7.0, "lamp", 130, 159)
    phones = [Stretch("AA", 30, 159, -1.5 * 130)]
    assert not judge(right + wrong, phones).accepted
    assert judge(right + heard(1.0, "lamp", 130, 159), phones).accepted


def test_speech_beside_the_words_speaks_against_them() -> None:
    words = heard(1.0, "lamp", 30, 69)
    talk = Stretch("AA", 30, 149, -180.0)
    silence = Stretch("", 70, 149, -120.0)
    assert not judge(words, [talk]).accepted
    assert judge(words, [Stretch("AA", 30, 69, -60.0), silence]).accepted


def test_a_word_as_long_as_a_sentence_is_none() -> None:
    assert not judge(heard(0.0, "on"), PHONES).accepted
    assert judge(heard(0.0, "lamp"), PHONES).accepted


def test_no_words_and_impossible_scores_are_not_believed() -> None:
    assert not judge([], PHONES).accepted
    impossible = judge([Stretch("lamp", 30, 89, -math.inf)], PHONES)
    assert not impossible.accepted
    assert impossible.confidence < 0.01
