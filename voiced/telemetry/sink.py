"""Where log lines go: a stream that may be a pipe, a terminal or the journal, and may be stuck."""

from __future__ import annotations

import io
import os
import select
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

# A terminal held by Ctrl-S, or a reader that is stuck, may stall the daemon this long, once.
PATIENCE_MS = 50

# Where poll(2) says a pipe is writable, this many bytes go in without blocking (pipe(7)).
CHUNK_BYTES = 4096


class LineSink:
    """Writes whole lines, and drops them, counted, while nobody takes them.

    The stream stays the caller's. A reader that has gone away loses the lines; nothing here raises.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._dropped = 0
        self._torn = False
        try:
            self._fd = stream.fileno()
        except (io.UnsupportedOperation, ValueError, AttributeError):
            self._fd = -1  # in memory, as in tests

    @property
    def dropped(self) -> int:
        """Lines dropped since the last one that was written."""
        return self._dropped

    def write(self, line: str, notice: Callable[[int], str] | None = None) -> None:
        """Write `line`; where lines were dropped before it, first `notice` of their number."""
        with self._lock:
            try:
                if self._fd < 0:
                    self._stream.write(line + "\n")
                    return
                text = line + "\n"
                if self._dropped and notice is not None:
                    text = notice(self._dropped) + "\n" + text
                if self._torn:
                    text = "\n" + text
                self._write(text.encode("utf-8", "backslashreplace"))
            except (OSError, ValueError):
                # The reader is gone, or the stream closed. There is no other place to say it.
                return

    def _write(self, data: bytes) -> None:
        began = len(data)
        while data:
            if not self._writable():
                self._dropped += 1
                self._torn = self._torn or len(data) < began
                return
            data = data[os.write(self._fd, data[:CHUNK_BYTES]) :]
        self._dropped = 0
        self._torn = False

    def _writable(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        # Patient once: a stuck reader must not cost the daemon a moment for every line.
        return bool(poll.poll(0 if self._dropped else PATIENCE_MS))
