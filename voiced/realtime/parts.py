"""What every session of a daemon works with, put together once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from voiced.engines.ports import Stt
from voiced.realtime.item_audio import AudioBudget
from voiced.realtime.reply import Speaker
from voiced.settings import Settings
from voiced.store.history import History
from voiced.telemetry.insights import Insights
from voiced.telemetry.tally import Tally
from voiced.thermal.heat import Heat
from voiced.tools.notice import Notice
from voiced.turns.silero import SileroVad


class SessionParts(msgspec.Struct, frozen=True):
    """Shared by all sessions, and owned by the daemon."""

    settings: Settings
    vad: SileroVad
    stt: Stt
    speaker: Speaker
    history: History
    item_audio: AudioBudget
    take_missed: Callable[[], Notice | None] = lambda: None
    tally: Tally = msgspec.field(default_factory=Tally)
    insights: Insights = msgspec.field(default_factory=Insights)
    heat: Heat = msgspec.field(default_factory=Heat)
