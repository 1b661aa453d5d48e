"""Audio kept in the chunks in which it came."""

from __future__ import annotations

from collections import deque


class ChunkBuffer:
    """PCM, first in, first out, in `bytes` of any size that nobody copies or joins meanwhile.

    A bytearray that grows at the end and is cut at the front is moved about by the allocator, and
    leaves holes where it was; chunks of one size fit where the last one was. `len` is in bytes.
    """

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, pcm: bytes) -> None:
        """Add a chunk at the end."""
        self._chunks.append(pcm)
        self._size += len(pcm)

    def keep_last(self, size: int) -> None:
        """Drop all but the last `size` bytes; cuts a chunk in two where it must."""
        surplus = self._size - size
        while surplus > 0:
            first = self._chunks.popleft()
            if len(first) > surplus:
                self._chunks.appendleft(first[surplus:])
            surplus -= len(first)
        self._size = min(self._size, size)

    def trim(self, size: int) -> None:
        """Drop whole chunks from the front for as long as `size` bytes are left."""
        while self._chunks and self._size - len(self._chunks[0]) >= size:
            self._size -= len(self._chunks.popleft())

    def join(self) -> bytes:
        """All of it in one piece; it stays here too."""
        return b"".join(self._chunks)

    def clear(self) -> None:
        """Forget it all."""
        self._chunks.clear()
        self._size = 0
