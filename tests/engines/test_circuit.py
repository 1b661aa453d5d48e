"""When a server that failed is asked again."""

from __future__ import annotations

import pytest

from voiced.engines.http.circuit import LONGEST_PAUSE_S, Circuit


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(clock=clock, failures=5, open_s=30.0)


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        assert circuit.admit()
        circuit.failed()


def state(circuit: Circuit) -> str:
    """Asked anew each time: mypy takes a property for a constant."""
    return circuit.state


def test_five_failures_in_a_row_open_it(circuit: Circuit) -> None:
    fail(circuit, 4)
    assert state(circuit) == "failing"
    assert circuit.passes
    fail(circuit, 1)
    assert state(circuit) == "open"
    assert not circuit.admit()


def test_a_success_forgets_the_failures(circuit: Circuit) -> None:
    fail(circuit, 4)
    circuit.admit()
    circuit.succeeded()
    assert state(circuit) == "closed"
    fail(circuit, 4)
    assert circuit.passes


def test_after_its_time_one_request_is_let_through(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 29.9
    assert not circuit.admit()
    clock.now += 0.1
    assert state(circuit) == "trial"
    assert circuit.admit()
    assert not circuit.admit()


def test_a_trial_that_fails_opens_it_again(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    fail(circuit, 1)
    assert state(circuit) == "open"
    assert circuit.opens_in_s == 30


def test_a_trial_that_succeeds_closes_it(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    circuit.admit()
    circuit.succeeded()
    assert state(circuit) == "closed"
    fail(circuit, 4)
    assert circuit.passes


def test_a_trial_of_which_nothing_came_is_made_again(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 5)
    clock.now += 30
    assert circuit.admit()
    circuit.released()
    assert circuit.admit()


def test_requests_that_were_under_way_do_not_prolong_the_wait(
    circuit: Circuit, clock: Clock
) -> None:
    for _ in range(7):
        circuit.admit()
    for _ in range(5):
        circuit.failed()
    clock.now += 10
    circuit.failed()
    circuit.failed()
    assert circuit.opens_in_s == 20


def test_a_server_that_is_there_again_has_one_more_failure(circuit: Circuit, clock: Clock) -> None:
    """It answers, but whether it works is not known."""
    fail(circuit, 5)
    clock.now += 30
    circuit.admit()
    circuit.recovered()
    assert state(circuit) == "closed"
    fail(circuit, 1)
    assert state(circuit) == "open"


def test_looking_does_not_make_up_for_failures(circuit: Circuit) -> None:
    fail(circuit, 4)
    circuit.admit()
    circuit.recovered()
    assert state(circuit) == "closed"
    fail(circuit, 1)
    assert state(circuit) == "open"


def test_a_server_that_asks_for_a_pause_gets_it(circuit: Circuit, clock: Clock) -> None:
    circuit.admit()
    circuit.failed(pause_s=7)
    assert state(circuit) == "open"
    clock.now += 7
    assert circuit.admit()


def test_no_pause_is_longer_than_the_longest(circuit: Circuit) -> None:
    circuit.admit()
    circuit.failed(pause_s=1e9)
    assert circuit.opens_in_s == LONGEST_PAUSE_S


def trusted(circuit: Circuit) -> bool:
    return circuit.trusted


def test_who_just_failed_is_not_trusted_for_twice_as_long_each_time(
    circuit: Circuit, clock: Clock
) -> None:
    assert trusted(circuit)
    for pause_s in (30, 60, 120, 240):
        fail(circuit, 1)
        clock.now += pause_s - 0.1
        assert not trusted(circuit)
        assert circuit.passes
        clock.now += 0.1
        assert trusted(circuit)
    fail(circuit, 1)
    assert state(circuit) == "open"
    clock.now += LONGEST_PAUSE_S - 0.1
    assert state(circuit) == "trial"
    assert not trusted(circuit)
    clock.now += 0.1
    assert trusted(circuit)
    circuit.admit()
    assert not trusted(circuit)  # somebody tries it
    circuit.succeeded()
    assert trusted(circuit)
