"""Native calls of Whisper's: one at a time, and none for somebody who has left."""

from __future__ import annotations

import threading

import pytest

from tests.engines.whisper_helpers import Hearing
from tests.patience import CEILING_S
from voiced.engines.ports import WorkCancelled
from voiced.engines.stt.whisper_calls import Caller, Turns


class Native:
    """A call that takes until it is let go."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go = threading.Event()
        self.over = False

    def __call__(self) -> str:
        self.began.set()
        assert self.go.wait(CEILING_S)
        self.over = True
        return "done"


def start(work: Hearing, turns: Turns, task: Native) -> tuple[threading.Thread, list[object]]:
    """Make the call on a thread; what comes of it is in the list."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(Caller(work, turns)(task))
        except WorkCancelled as exc:
            found.append(exc)

    thread = threading.Thread(target=call)
    thread.start()
    return thread, found


def test_a_call_waits_for_the_one_before_it() -> None:
    turns, first, second = Turns(), Native(), Native()
    threads = [start(Hearing(), turns, first)]
    assert first.began.wait(CEILING_S)
    threads.append(start(Hearing(), turns, second))
    assert not second.began.wait(0.1)  # a control: without turns it begins at once
    first.go.set()
    assert second.began.wait(CEILING_S)
    assert first.over
    second.go.set()
    for thread, found in threads:
        thread.join(CEILING_S)
        assert found == ["done"]


def test_who_leaves_waits_for_nothing_and_is_not_served() -> None:
    turns, first, second, third = Turns(), Native(), Native(), Native()
    busy, _ = start(Hearing(), turns, first)
    assert first.began.wait(CEILING_S)
    work = Hearing()
    left, found = start(work, turns, second)
    work.cancel()
    left.join(CEILING_S)
    assert isinstance(found[0], WorkCancelled)
    assert not first.over
    first.go.set()
    busy.join(CEILING_S)
    last, said = start(Hearing(), turns, third)
    third.go.set()
    last.join(CEILING_S)
    assert said == ["done"]
    assert not second.began.is_set()


def test_what_a_call_raises_is_raised() -> None:
    def broken() -> None:
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        Caller(Hearing(), Turns())(broken)
