"""The turn detections that the daemon's settings describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.conversation.detection import Detections, SemanticVad, ServerVad

if TYPE_CHECKING:
    from voiced.settings import Settings


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
