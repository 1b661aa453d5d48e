"""Turn detection: what the daemon's settings describe, and what a session's means for its ears."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from voiced.conversation.detection import Detections, SemanticVad, ServerVad
from voiced.turns.attention import Manner

if TYPE_CHECKING:
    from voiced.conversation.detection import TurnDetection
    from voiced.settings import Settings
    from voiced.settings import TurnDetection as TurnSettings


class Hearing(Struct, frozen=True):
    """How a session listens."""

    threshold: float
    padding_ms: int
    manner: Manner


def hearing_of(
    detection: TurnDetection,
    own: TurnSettings,
    language: str,
    *,
    early: bool = False,
    along: bool = False,
) -> Hearing:
    """How a session with that turn detection listens; the settings say what it cannot.

    `early`: whether to ask the recogniser as each silence begins; `along`: and now and then while
    somebody speaks on.
    """
    if isinstance(detection, ServerVad):
        manner = Manner(
            language=language,
            pause_ms=detection.silence_duration_ms,
            backchannel_ms=own.backchannel_ms,
            resume_ms=round(own.resume_s * 1000),
            early=early,
            along=along,
        )
        return Hearing(detection.threshold, detection.prefix_padding_ms, manner)
    manner = Manner(
        language=language,
        eagerness=detection.eagerness,
        pause_ms=own.semantic_silence_ms,
        backchannel_ms=own.backchannel_ms,
        resume_ms=round(own.resume_s * 1000),
        along=along,
    )
    return Hearing(own.threshold, own.prefix_padding_ms, manner)


def own_detections(settings: Settings) -> Detections:
    """The turn detections that the settings describe, one of each type."""
    turns = settings.turn_detection
    return Detections(
        server=ServerVad(
            threshold=turns.threshold,
            prefix_padding_ms=turns.prefix_padding_ms,
            silence_duration_ms=turns.silence_duration_ms,
            create_response=turns.create_response,
            interrupt_response=turns.interrupt_response,
        ),
        semantic=SemanticVad(
            eagerness=turns.eagerness,
            create_response=turns.create_response,
            interrupt_response=turns.interrupt_response,
        ),
        first=turns.type,
    )
