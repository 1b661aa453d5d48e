"""The level in words that a person understands: what is the matter, and what voiced does about it.

One text for everybody who is told: `/ready`, the session object, observers, the status line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiced.thermal.level import HeatState, Level

if TYPE_CHECKING:
    from voiced.thermal.heat import Heat

_WORDS = {
    Level.UNKNOWN: "It is not known how warm the processor is, so nothing is held back",
    Level.NORMAL: "The processor is cool enough{at}: nothing is held back",
    Level.WARM: "The processor is warm{at}: nothing is worked out in advance, and background jobs "
    "run one at a time",
    Level.HOT: "The processor is hot{at}: background jobs are paused, and spoken replies are "
    "shorter",
    Level.CRITICAL: "The processor is too hot{at}: only conversation goes on, and everything else "
    "waits until it has cooled down",
}


def state_of(heat: Heat) -> HeatState:
    """What a client is told."""
    celsius = None if heat.celsius is None else round(heat.celsius, 1)
    return HeatState(level=heat.level.word, celsius=celsius, words=words_of(heat))


def words_of(heat: Heat) -> str:
    """One or two sentences."""
    at = "" if heat.celsius is None else f" ({heat.celsius:.0f} °C)"
    said = [_WORDS[heat.level].format(at=at), *map(_sentence, heat.reasons[1:])]
    return ". ".join(said) + "."


def _sentence(clause: str) -> str:
    return clause[:1].upper() + clause[1:]
