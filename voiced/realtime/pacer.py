"""The pace of a reply's audio: little of it lies with the client, where it can only be cut."""

from __future__ import annotations

from collections import Counter, deque

import trio

from voiced.audio.formats import PCM, WireFormat

CHUNK_MS = 100
"""The longest audio delta."""

ROUNDING_MS = 1e-3
"""Less is not waited for: a sleep ends within the clock's precision of its time."""


class Pacer:
    """Audio of one format on its way to the client, never more than `lead_ms` ahead of its playing.

    What lies here is cancelled for nothing; what is with the client can only be cut there.
    Iterate it in one task; ends after `finish`.
    """

    def __init__(self, lead_ms: float, form: WireFormat = PCM) -> None:
        self._lead_ms = lead_ms
        self._form = form
        self._chunk_bytes = form.bytes_for_ms(CHUNK_MS)
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._buffered_bytes = 0
        self._clause_bytes: Counter[int] = Counter()
        self._finished = False
        self._changed = trio.Event()
        self._drained = trio.Event()
        self._resumed: trio.Event | None = None
        self._started_at: float | None = None
        self._sent_ms = 0.0

    def put(self, span: int, audio: bytes) -> None:
        """Add audio of one clause, cut into chunks of at most 100 ms."""
        for start in range(0, len(audio), self._chunk_bytes):
            self._chunks.append((span, audio[start : start + self._chunk_bytes]))
        self._buffered_bytes += len(audio)
        self._clause_bytes[span] += len(audio)
        self._changed.set()

    def clause_ms(self, span: int) -> float:
        """How long the audio of that clause is, as far as it was put."""
        return self._form.duration_ms(self._clause_bytes[span])

    def finish(self) -> None:
        """No more audio comes."""
        self._finished = True
        self._changed.set()

    async def wait_below(self, milliseconds: float) -> None:
        """Wait until less audio than this waits here."""
        while self._form.duration_ms(self._buffered_bytes) >= milliseconds:
            self._drained = trio.Event()
            await self._drained.wait()

    def __aiter__(self) -> Pacer:
        return self

    def pause(self) -> None:
        """Send nothing more, from this moment on; what is with the client is played out."""
        if self._resumed is None:
            self._resumed = trio.Event()

    def resume(self) -> None:
        """Go on with the next sample that was not sent."""
        if self._resumed is not None:
            self._resumed.set()
            self._resumed = None

    async def __anext__(self) -> tuple[int, bytes]:
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            if self._resumed is not None:
                await self._resumed.wait()
            elif not self._chunks:
                if self._finished:
                    raise StopAsyncIteration
                self._changed = trio.Event()
                await self._changed.wait()
            elif (early_s := self._early_s()) > 0:
                await trio.sleep(early_s)
            else:
                return self._take()

    def _take(self) -> tuple[int, bytes]:
        span, audio = self._chunks.popleft()
        self._sent_ms += self._form.duration_ms(len(audio))
        self._buffered_bytes -= len(audio)
        self._drained.set()
        return span, audio

    def _early_s(self) -> float:
        """How much too early it is for the next chunk."""
        now = trio.current_time()
        if self._started_at is None:
            self._started_at = now
        ahead_ms = self._sent_ms - (now - self._started_at) * 1000
        if ahead_ms < 0:
            # The engines fell behind, or it was paused, and the client fell silent: it plays on
            # from here.
            self._started_at += -ahead_ms / 1000
            ahead_ms = 0.0
        chunk_ms = self._form.duration_ms(len(self._chunks[0][1]))
        early_ms = ahead_ms + chunk_ms - self._lead_ms
        return early_ms / 1000 if early_ms > ROUNDING_MS else 0.0
