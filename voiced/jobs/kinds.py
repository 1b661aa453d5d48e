"""Every kind of job that the daemon does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.jobs.speech import SpeechKind
from voiced.jobs.summary import Summary
from voiced.jobs.transcription import Transcription

if TYPE_CHECKING:
    from voiced.engines.ports import Llm, Stt, Tts
    from voiced.jobs.kind import JobKind
    from voiced.settings import Settings
    from voiced.store.history import History


def make_kinds(
    settings: Settings, stt: Stt, llm: Llm, tts: Tts, history: History
) -> tuple[JobKind, ...]:
    """The kinds over these engines, within the limits of the settings. `history` is where the
    sessions are found that are to be summed up."""
    jobs = settings.jobs
    return (
        Transcription(settings, stt, max_s=jobs.recording_s),
        SpeechKind(settings, tts, most_characters=jobs.text_characters),
        Summary(llm, history, most_characters=jobs.text_characters),
    )
