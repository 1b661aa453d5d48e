"""Audio kept in chunks, against the one long string that it stands for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from voiced.audio.chunks import ChunkBuffer

CHUNKS = st.lists(st.binary(max_size=20), max_size=10)


def filled(chunks: list[bytes]) -> ChunkBuffer:
    buffer = ChunkBuffer()
    for chunk in chunks:
        buffer.append(chunk)
    return buffer


@given(CHUNKS, st.integers(min_value=0, max_value=250))
def test_the_last_bytes_are_kept_to_the_byte(chunks: list[bytes], size: int) -> None:
    buffer = filled(chunks)
    buffer.keep_last(size)
    whole = b"".join(chunks)
    assert buffer.join() == whole[max(0, len(whole) - size) :]
    assert len(buffer) == min(len(whole), size)


@given(CHUNKS, st.integers(min_value=0, max_value=250))
def test_trimming_keeps_at_least_what_was_asked_and_no_chunk_too_many(
    chunks: list[bytes], size: int
) -> None:
    buffer = filled(chunks)
    buffer.trim(size)
    whole = b"".join(chunks)
    assert whole.endswith(buffer.join())
    assert min(size, len(whole)) <= len(buffer) == len(buffer.join())
    assert len(buffer) < size + max(map(len, chunks), default=0) or len(buffer) == size


@given(CHUNKS)
def test_nothing_is_left_once_cleared(chunks: list[bytes]) -> None:
    buffer = filled(chunks)
    buffer.clear()
    assert len(buffer) == 0
    assert buffer.join() == b""
    buffer.append(b"new")
    assert buffer.join() == b"new"
