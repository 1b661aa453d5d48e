"""The store of client secrets: pure, with a clock of the test's own."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.realtime.secrets import Attached, ClientSecrets, TooManySecrets


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(
    most: int = 100, most_bytes: int = 1000, clock: Clock | None = None
) -> tuple[ClientSecrets, Clock]:
    clock = clock or Clock()
    return ClientSecrets(clock, most=most, most_bytes=most_bytes), clock


def test_a_secret_is_a_token_that_browsers_can_send() -> None:
    store, _ = make()
    values = {store.make(Attached(), 60) for _ in range(50)}
    assert len(values) == 50
    assert all(re.fullmatch("ek_[A-Za-z0-9_]{32,}", value) for value in values)


def test_it_is_found_until_it_expires_as_often_as_one_likes() -> None:
    store, clock = make()
    attached = Attached("realtime", b'{"instructions":"x"}')
    value = store.make(attached, 60)
    clock.now += 59.9
    assert store.find(value) == store.find(value) == attached
    clock.now += 0.1
    assert store.find(value) is None
    assert store.count == 0


@pytest.mark.parametrize("key", ["", "ek_", "ek_x", "s3cret", "ek_\udce4", "ek_" + "a" * 5000])
def test_no_other_key_is_found(key: str) -> None:
    store, _ = make()
    value = store.make(Attached(), 60)
    assert store.find(key) is None
    assert store.find(value[:-1]) is None
    assert store.find(value.removeprefix("ek_")) is None


def test_the_secret_itself_is_not_kept() -> None:
    store, _ = make(clock=Clock())
    value = store.make(Attached(), 60)
    assert value.removeprefix("ek_").encode() not in pickle.dumps(store)
    assert value not in repr(vars(store))


def test_their_number_is_bounded_and_the_refusal_says_for_how_long() -> None:
    store, clock = make(most=2)
    store.make(Attached(), 100)
    store.make(Attached(), 30)
    with pytest.raises(TooManySecrets) as full:
        store.make(Attached(), 10)
    assert full.value.retry_s == 30
    clock.now += 30
    store.make(Attached(), 10)
    with pytest.raises(TooManySecrets):
        store.make(Attached(), 10)


def test_their_sessions_are_bounded_and_given_back() -> None:
    store, clock = make(most_bytes=10)
    for _ in range(3):  # room that is not given back would be missed the second time
        store.make(Attached("realtime", b"x" * 8), 60)
        with pytest.raises(TooManySecrets):
            store.make(Attached("realtime", b"x" * 3), 60)
        clock.now += 60
    with pytest.raises(TooManySecrets):
        store.make(Attached("realtime", b"x" * 11), 60)


@given(st.lists(st.tuples(st.integers(10, 7200), st.integers(0, 3000)), max_size=40))
def test_each_lives_exactly_as_long_as_it_was_made_for(
    makings: list[tuple[int, int]],
) -> None:
    store, clock = make(most=10, most_bytes=25)
    live: dict[str, float] = {}
    for seconds, pause in makings:
        full = sum(expiry > clock.now for expiry in live.values()) >= 10
        try:
            value = store.make(Attached(), seconds)
        except TooManySecrets:
            assert full
        else:
            assert not full
            live[value] = clock.now + seconds
        clock.now += pause
        for value, expiry in live.items():
            assert (store.find(value) is not None) == (clock.now < expiry)
