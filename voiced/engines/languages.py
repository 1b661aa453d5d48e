"""Which languages an engine knows, by their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voiced.engines.ports import EngineInfo


def main_language(code: str) -> str:
    """`en` of `en-US`."""
    return code.lower().partition("-")[0]


def known_languages(info: EngineInfo) -> list[str]:
    """Those that an engine declares, without their variants, sorted."""
    return sorted({main_language(code) for code in info.languages})


def understands(info: EngineInfo, code: str) -> bool:
    """Whether the engine knows that language, in whatever variant."""
    return main_language(code) in known_languages(info)
