"""A recording played into a session as a microphone would deliver it."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import trio

from voiced.client.connection import append_event

if TYPE_CHECKING:
    from voiced.client.connection import RealtimeClient

INPUT_RATE_HZ: Final = 24_000
DEFAULT_FRAME_MS: Final = 20


class Microphone:
    """PCM16 mono at 24 kHz, sent in frames at the pace at which it would have been spoken.

    A frame is sent at the time its last sample would have been captured. When the recording
    is over, silence follows at the same pace. `end_of_speech_s` is where in the recording the
    speech ends, `onset_s` where it begins (by default, at its end and its start).
    """

    def __init__(
        self,
        pcm: bytes,
        *,
        frame_ms: int = DEFAULT_FRAME_MS,
        end_of_speech_s: float | None = None,
        onset_s: float = 0.0,
    ) -> None:
        self._frame_s = frame_ms / 1000
        frame_bytes = INPUT_RATE_HZ * frame_ms // 1000 * 2
        self.duration_s = len(pcm) / 2 / INPUT_RATE_HZ
        end_s = self.duration_s
        if end_of_speech_s is not None:
            end_s = min(end_of_speech_s, end_s)
        # Encoded beforehand: the pace must not depend on it.
        self._messages = [
            append_event(pcm[offset : offset + frame_bytes].ljust(frame_bytes, b"\0"))
            for offset in range(0, len(pcm), frame_bytes)
        ]
        self._silence = append_event(bytes(frame_bytes))
        self._last = max(ceil(round(end_s / self._frame_s, 6)) - 1, 0)
        self._first = int(onset_s / self._frame_s)
        self._started: float | None = None
        self.onset: float | None = None
        self.end_of_speech: float | None = None
        self.latest_s = 0.0

    @property
    def expected_end(self) -> float:
        """When the speech will end: the Trio clock, from now on where it has not begun."""
        start = trio.current_time() if self._started is None else self._started
        return start + (self._last + 1) * self._frame_s

    async def play(self, client: RealtimeClient) -> None:
        """Send the recording, then silence, until cancelled. Raises `ClientError` as `send` does.

        Sets `onset` and `end_of_speech` to the moment at which the frame with the first and with
        the last sample of speech was handed to the connection, and `latest_s` to the most that
        any frame was late.
        """
        self._started = start = trio.current_time()
        index = 0
        while True:
            due = start + (index + 1) * self._frame_s
            await trio.sleep_until(due)
            now = trio.current_time()
            self.latest_s = max(self.latest_s, now - due)
            if index == self._first:
                self.onset = now
            if index == self._last:
                self.end_of_speech = now
            spoken = index < len(self._messages)
            await client.send_text(self._messages[index] if spoken else self._silence)
            index += 1
