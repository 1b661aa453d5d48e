"""Which voice of the engine speaks for a name that a client asks for.

Clients name the voices of OpenAI. So each of those names stands for a voice of the engine, and
different names for different ones as far as the engine has them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from voiced.engines.ports import EngineInfo, Tts
    from voiced.settings import Tts as TtsSettings

log = structlog.get_logger(__name__)

STAND_INS: Final[dict[str, str]] = {
    "alloy": "",
    "ash": "+m3",
    "ballad": "+m5",
    "cedar": "+m7",
    "coral": "+f2",
    "echo": "+m1",
    "fable": "+m4",
    "marin": "+f3",
    "nova": "+f4",
    "onyx": "+m6",
    "sage": "+f1",
    "shimmer": "+f5",
    "verse": "+m2",
}
"""OpenAI's voices as variants of the voice in the settings, for engines that have these (eSpeak
NG). "" is that voice itself. `tts.voices` in the settings goes first."""

NAMES_LOGGED: Final = 64
"""Unknown names that are logged, each once: a client may make up as many as it likes."""

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?=[-_]|$)")


class Voices:
    """Resolves the names of voices for one daemon. Never waits, never raises."""

    def __init__(self, settings: TtsSettings, tts: Tts) -> None:
        self._default = settings.voice
        self._chosen = {name.lower(): voice for name, voice in settings.voices.items()}
        self._tts = tts
        self._logged: set[str] = set()

    def resolve(self, name: str) -> str:
        """The engine's name for the voice `name`.

        A name in `tts.voices` is what stands there; one that the engine knows is itself; one of
        OpenAI's is its stand-in; "" and any other are the voice in the settings. Where an
        engine declares no voices, nothing can be known and every name is passed on.
        """
        info = self._tts.info
        if not name:
            return self._default
        chosen = self._chosen.get(name.lower())
        if chosen is not None:
            return self._complete(chosen)
        if not info.voices or knows(info, name):
            return name
        found = self._stand_in(info, name.lower())
        if found is None:
            self._tell(name)
        return self._default if found is None else found

    def has(self, name: str) -> bool:
        """Whether `resolve` has something better for that name than the voice in the settings."""
        info = self._tts.info
        lower = name.lower()
        return lower in self._chosen or not info.voices or knows(info, name) or lower in STAND_INS

    def _stand_in(self, info: EngineInfo, name: str) -> str | None:
        if name not in STAND_INS:
            return None
        voice = self._complete(STAND_INS[name])
        if knows(info, voice):
            return voice
        # No variants: the voices of the same language in turn, beginning with the default one.
        language = _LANGUAGE.match(self._default.lower())
        prefix = language.group() if language else ""
        others = (v for v in info.voices if v.lower().startswith(prefix) and v != self._default)
        alike = [self._default, *others]
        return alike[list(STAND_INS).index(name) % len(alike)]

    def _complete(self, voice: str) -> str:
        """A voice that begins with `+` is a variant of the default one."""
        if voice.startswith("+") or not voice:
            return self._default.partition("+")[0] + voice if voice else self._default
        return voice

    def _tell(self, name: str) -> None:
        if len(self._logged) < NAMES_LOGGED and name not in self._logged:
            self._logged.add(name)
            log.info("unknown voice, using the default", voice=name[:64], default=self._default)


def knows(info: EngineInfo, name: str) -> bool:
    """Whether the engine has that voice; case makes no difference, as in the engines.

    What stands behind a `+` is a variant of any voice (eSpeak NG), or part of the name of one
    that the engine lists (a speaker of Piper's).
    """
    wanted = name.lower()
    voices = {voice.lower() for voice in info.voices}
    base, _, variant = wanted.partition("+")
    return wanted in voices or (base in voices and variant in map(str.lower, info.variants))
