"""Server-sent events out of bytes, as far as OpenAI's API uses them. Sans-I/O."""

from __future__ import annotations

from voiced.errors import ProviderFailed

MOST_EVENT_BYTES = 1 << 20
"""A longer event is none: a whole answer of a model is a few kilobytes."""


class SseReader:
    """Collects the `data` of events; everything else that a stream may hold is passed over.

    Lines end with LF or CRLF. A lone CR as an end of line, which nobody sends, is not known.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, portion: bytes) -> list[bytes]:
        """The data of each event that is complete now. Raises `ProviderFailed` where one is too
        long."""
        *lines, self._rest = (self._rest + portion).split(b"\n")
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                self._data, self._size = [], 0
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._size += len(line)
            self._check()
        self._check()
        return events

    def _check(self) -> None:
        if self._size + len(self._rest) > MOST_EVENT_BYTES:
            raise ProviderFailed("an event is longer than a megabyte")
