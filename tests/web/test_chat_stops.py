"""Stop sequences, wherever the pieces of a text are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.web.chat.stops import StopFilter


def through(stops: list[str], pieces: list[str]) -> tuple[str, bool]:
    found = StopFilter(stops)
    out = "".join(found.feed(piece) for piece in pieces)
    return out + found.flush(), found.stopped


@pytest.mark.parametrize(
    ("stops", "pieces", "out"),
    [
        (["END"], ["one EN", "D two"], "one "),
        (["END"], ["one EN", "TER"], "one ENTER"),
        (["aab"], ["aaa", "b"], "a"),
        (["x", "END"], ["the END of x"], "the "),
        (["", "."], ["No. Yes."], "No"),
        ([""], ["all of it"], "all of it"),
        ([], ["all", " of it"], "all of it"),
    ],
)
def test_text_ends_in_front_of_the_sequence(stops: list[str], pieces: list[str], out: str) -> None:
    assert through(stops, pieces)[0] == out


@given(
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=4),
    st.lists(st.text("abc", max_size=5), max_size=12),
)
def test_how_the_text_comes_makes_no_difference(stops: list[str], pieces: list[str]) -> None:
    whole = "".join(pieces)
    ends = [at for stop in stops if (at := whole.find(stop)) >= 0]
    out, stopped = through(stops, pieces)
    assert stopped == bool(ends)
    # A sequence may be complete before an earlier one of several begins to show.
    assert whole.startswith(out)
    assert not any(stop in out for stop in stops)
    if not ends:
        assert out == whole
    elif len(stops) == 1:
        assert out == whole[: ends[0]]


@given(st.text("ab", min_size=1, max_size=4), st.lists(st.text("abc", max_size=5), max_size=12))
def test_nothing_is_held_back_that_cannot_become_the_sequence(stop: str, pieces: list[str]) -> None:
    found = StopFilter([stop])
    taken = out = ""
    for piece in pieces:
        taken += piece
        out += found.feed(piece)
        if found.stopped:
            break
        assert taken.startswith(out)
        assert stop.startswith(taken[len(out) :])
