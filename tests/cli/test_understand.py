"""`voiced understand`: which sentences it takes."""

from __future__ import annotations

import pytest

from voiced.cli.understand import open_understander
from voiced.errors import ModelError
from voiced.settings import Llm


@pytest.mark.parametrize("language", ["en", "en-us", "EN-GB", ""])
def test_it_takes_the_sentences_that_the_engines_take(language: str) -> None:
    assert open_understander(Llm(), language).understand("what time is it") is not None


def test_a_language_without_sentences_is_named() -> None:
    with pytest.raises(ModelError, match="'tlh'"):
        open_understander(Llm(), "tlh")
