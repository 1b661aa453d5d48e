"""Which sentences and home files the settings mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voiced.errors import ModelError, StartupError
from voiced.resources import default_config

if TYPE_CHECKING:
    from collections.abc import Mapping


def assistant_files(options: Mapping[str, Any]) -> tuple[Path, Path]:
    """The paths under `sentences` and `home`; where empty, the shipped ones of `language`.

    Where the language is found out as people speak ("auto"), the shipped ones are English.
    Raises `ModelError` for a language that none are shipped for.
    """
    sentences, home = str(options.get("sentences") or ""), str(options.get("home") or "")
    language = str(options.get("language") or "en")
    if language == "auto":
        language = "en"
    return (
        Path(sentences).expanduser() if sentences else _shipped_sentences(language),
        Path(home).expanduser() if home else default_config("assistant/home.yaml"),
    )


def _shipped_sentences(language: str) -> Path:
    family = language.partition("-")[0].casefold()
    try:
        return default_config(f"assistant/{family}.yaml")
    except StartupError as error:
        raise ModelError(
            f"no sentences are shipped for the language {language!r}; name a file of your own"
            " in llm.sentences"
        ) from error
