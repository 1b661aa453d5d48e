"""Waits double, the circuit opens, one trial at a time; and the deadlines of a child's life."""

from __future__ import annotations

from voiced.engines.breaker import Breaker
from voiced.engines.spec import HostPolicy
from voiced.engines.vigil import Vigil


def test_waits_double_up_to_their_bound() -> None:
    breaker = Breaker(first_s=0.5, max_s=3.0, failures=9, open_s=30.0)
    assert [breaker.failed() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_the_circuit_opens_and_each_failed_trial_opens_it_again() -> None:
    breaker = Breaker(first_s=0.5, max_s=30.0, failures=3, open_s=60.0)
    assert [breaker.failed() for _ in range(4)] == [0.5, 1.0, 60.0, 60.0]
    breaker.succeeded()
    assert breaker.failed() == 0.5
    assert not breaker.is_open


def test_a_silent_child_is_pinged_and_then_given_up() -> None:
    vigil = Vigil(HostPolicy(ping_s=2.0, pong_s=5.0, load_s=10.0))
    vigil.started(0.0)
    vigil.heard(1.0)
    vigil.became_ready(1.0)
    assert vigil.look(2.9) == (None, False, 3.0)
    assert vigil.look(3.0) == (None, True, 5.0)
    assert vigil.look(5.0) == (None, False, 7.0)
    assert vigil.look(7.9) == (None, False, 8.0)
    assert vigil.look(8.0).kill is not None


def test_any_word_of_the_child_counts_as_an_answer() -> None:
    vigil = Vigil(HostPolicy(ping_s=2.0, pong_s=5.0))
    vigil.started(0.0)
    vigil.became_ready(0.0)
    assert vigil.look(2.0).ping
    vigil.heard(6.9)
    assert vigil.look(8.0) == (None, False, 8.9)


def test_a_host_that_stood_still_itself_does_not_hold_that_against_its_child() -> None:
    vigil = Vigil(HostPolicy(ping_s=2.0, pong_s=5.0, load_s=10.0))
    vigil.started(0.0)
    assert vigil.look(1.0) == (None, False, 10.0)
    assert vigil.look(100.0) == (None, False, 102.0)  # asleep for 90 s
    vigil.became_ready(101.0)
    vigil.heard(101.0)
    assert vigil.look(103.0) == (None, True, 105.0)
    assert vigil.look(205.0) == (None, False, 207.0)  # asleep for 100 s: 2 of the 5 have passed
    assert vigil.look(207.0) == (None, False, 209.0)
    assert vigil.look(209.0) == (None, False, 210.0)
    assert vigil.look(210.0).kill is not None


def test_loading_is_bounded_and_not_pinged() -> None:
    vigil = Vigil(HostPolicy(ping_s=2.0, load_s=10.0))
    vigil.started(100.0)
    assert vigil.look(109.0) == (None, False, 110.0)
    assert vigil.look(110.0).kill is not None
