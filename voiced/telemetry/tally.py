"""What happens in conversations, counted as it happens and read when somebody wants to know.

The stages of a turn are those that docs/operations.md explains. Counting one thing takes about a
microsecond; names are words of ours, never what somebody said or is called.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

from voiced.telemetry.distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping

Stage = Literal["endpointing", "stt", "llm", "tts", "answer", "whole"]
"""`endpointing`: from the end of speech until the turn was taken to be over. `stt`: from there to
its text. `llm`: from the question to the first text. `tts`: from the first clause to its first
sound. `answer`: from the end of the turn, or from when it was asked for, to the first sound of the
answer. `whole`: from the end of speech to that sound."""

STAGES: Final[dict[str, Stage]] = {
    "stt": "stt",
    "llm_first_text": "llm",
    "tts_first_audio": "tts",
    "total": "answer",
}
"""How the timings of a response are called here."""

TURN_BOUNDS_S: Final = (
    *(0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8),
    *(1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0),
)
"""From what nobody notices to what nobody waits for, closest where people begin to."""

Source = Literal["realtime", "response", "http", "door"]
"""Where an error was told: an `error` event, a response that failed, an HTTP answer, or what was
not let in."""

MOST_CODES: Final = 200
"""Codes are words of ours and far fewer; should one ever not be, it is counted as `other`."""


class Tally:
    """The counts of one daemon. Nothing here waits or raises."""

    def __init__(self) -> None:
        self.turns: dict[Stage, Distribution] = {}
        self.responses: Counter[str] = Counter()
        """By status."""
        self.errors: Counter[tuple[Source, str]] = Counter()
        self.barge_ins = 0
        self.sessions = 0
        """Opened."""
        self.outboxes_full = 0
        """Sessions that were ended since their client did not read."""
        self.dropped_bytes = 0
        """Audio that was lost in sessions that are over."""
        self.withheld_guesses = 0
        """How often, in these, nothing was worked out in advance for the heat."""
        self.short_replies = 0
        """Replies that the model was asked to keep short for the heat."""

    def stage(self, stage: Stage, seconds: float) -> None:
        """A stage of a turn is over."""
        series = self.turns.get(stage)
        if series is None:
            series = self.turns[stage] = Distribution(TURN_BOUNDS_S)
        series.add(seconds)

    def answered(self, timing_ms: Mapping[str, float], silence_s: float | None) -> None:
        """A response has ended, however it did. `silence_s` lay between the end of speech and the
        end of the turn that it answers; None where it answers none."""
        for name, milliseconds in timing_ms.items():
            self.stage(STAGES[name], milliseconds / 1000)
        if silence_s is not None:
            self.stage("endpointing", silence_s)
            if "total" in timing_ms:
                self.stage("whole", silence_s + timing_ms["total"] / 1000)

    def error(self, source: Source, code: str | None) -> None:
        """Somebody was told that something does not work."""
        key = (source, code or "none")
        if key not in self.errors and len(self.errors) >= MOST_CODES:
            key = (source, "other")
        self.errors[key] += 1
