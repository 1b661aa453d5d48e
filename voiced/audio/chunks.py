"""Audio kept in the chunks in which it came."""

from __future__ import annotations


class ChunkBuffer:
    """PCM, first in, first out, in `bytes` of any size that nobody copies or joins meanwhile.

    A bytearray that grows at the end and is cut at the front is moved about by the allocator, and
    leaves holes where it was; chunks of one size fit where the last one was. `len` is in bytes.

    A list holds them, which for the ten chunks of a quiet stream is a third of a deque.
    """

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
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
        if surplus <= 0:
            return
        whole = 0
        while whole < len(self._chunks) and surplus >= len(self._chunks[whole]):
            surplus -= len(self._chunks[whole])
            whole += 1
        del self._chunks[:whole]
        if surplus > 0:
            self._chunks[0] = self._chunks[0][surplus:]
        self._size = size

    def trim(self, size: int) -> None:
        """Drop whole chunks from the front for as long as `size` bytes are left."""
        whole = 0
        while whole < len(self._chunks) and self._size - len(self._chunks[whole]) >= size:
            self._size -= len(self._chunks[whole])
            whole += 1
        del self._chunks[:whole]

    def join(self) -> bytes:
        """All of it in one piece; it stays here too."""
        return b"".join(self._chunks)

    def clear(self) -> None:
        """Forget it all."""
        self._chunks.clear()
        self._size = 0
