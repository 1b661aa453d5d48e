"""Frames survive any way of being cut up, and anything else is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiced.engines import wire
from voiced.engines.ports import EngineInfo

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
maps: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.text(), values, max_size=4)
ids = st.integers(1, 2**62)
to_child: st.SearchStrategy[wire.ToChild] = st.one_of(
    st.builds(wire.Start, target=st.text(), options=maps, nice=st.integers(0, 19)),
    st.builds(wire.Run, ids, st.text(), maps),
    st.builds(wire.Audio, ids, st.binary(max_size=2000)),
    st.builds(wire.End, ids),
    st.builds(wire.Cancel, ids),
    st.builds(wire.Ping, ids),
    st.builds(wire.Stop),
)
from_child: st.SearchStrategy[wire.FromChild] = st.one_of(
    st.builds(wire.Fail, st.text(), st.text()),
    st.builds(wire.Part, ids, maps),
    st.builds(wire.Done, ids, maps),
    st.builds(wire.Error, ids, st.text(), st.text()),
    st.builds(wire.Cancelled, ids),
    st.builds(wire.Pong, ids),
    st.just(wire.Ready(EngineInfo(kind="tts", name="n", version="1", voices=("a", "b")))),
)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(to_child, max_size=6), st.lists(st.integers(0, 4000), max_size=12))
def test_messages_to_the_child_arrive_whole_and_in_order(
    messages: list[wire.ToChild], cuts: list[int]
) -> None:
    reader = wire.child_reader()
    stream = b"".join(wire.encode(message) for message in messages)
    assert [m for piece in cut(stream, cuts) for m in reader.feed(piece)] == messages
    assert reader.feed(wire.encode(wire.Stop())) == [wire.Stop()], "nothing is left in between"


@given(st.lists(from_child, max_size=6), st.lists(st.integers(0, 4000), max_size=12))
def test_messages_from_the_child_arrive_whole_and_in_order(
    messages: list[wire.FromChild], cuts: list[int]
) -> None:
    reader = wire.host_reader()
    stream = b"".join(wire.encode(message) for message in messages)
    assert [m for piece in cut(stream, cuts) for m in reader.feed(piece)] == messages
    assert reader.feed(wire.encode(wire.Pong(1))) == [wire.Pong(1)], "nothing is left in between"


@given(st.binary(max_size=300))
def test_any_bytes_are_messages_or_an_error_and_never_anything_else(data: bytes) -> None:
    reader = wire.host_reader()
    try:
        messages = reader.feed(data)
    except wire.FrameError:
        return
    assert all(isinstance(message, wire.FromChild) for message in messages)


def test_a_length_above_the_bound_is_refused_before_the_body_is_awaited() -> None:
    with pytest.raises(wire.FrameError, match="above"):
        wire.host_reader().feed((wire.MAX_FRAME_BYTES + 1).to_bytes(4, "big"))


def test_printed_text_is_refused_as_a_length() -> None:
    with pytest.raises(wire.FrameError):
        wire.host_reader().feed(b"Loading model...\n")


def test_a_message_for_the_other_side_is_refused() -> None:
    with pytest.raises(wire.FrameError):
        wire.host_reader().feed(wire.encode(wire.Cancel(1)))


def test_what_is_too_large_or_no_data_is_not_encoded() -> None:
    with pytest.raises(wire.FrameError, match="above"):
        wire.encode(wire.Audio(1, bytes(wire.MAX_FRAME_BYTES)))
    with pytest.raises(wire.FrameError):
        wire.encode(wire.Run(1, "reply", {"x": object()}))
