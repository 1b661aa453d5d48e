"""The shipped sentences with the shipped home, read once."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from voiced.assistant.files import assistant_files
from voiced.assistant.sentences import Sentences, load_sentences
from voiced.assistant.understanding import Understander

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@cache
def shipped_sentences() -> Sentences:
    """What voiced understands out of the box."""
    return load_sentences(*assistant_files({}))


@cache
def shipped_understander() -> Understander:
    """The understander of that."""
    return Understander(shipped_sentences())


# Long texts that do not break off at the first word, in several ways.
LONG_TEXTS = {
    "sum": "1+" * 32_000,
    "skipped": "please " * 9_000,
    "skipped in two ways": "can you please " * 4_000,
    "sentence at the end": "please " * 9_000 + "what time is it",
    "sentences": "turn on the lamp " * 4_000,
    "short words": "a " * 32_000,
    "one word": "a" * 64_000,
    "digits": "1" * 64_000,
    "decimals": "what is 1." + "1" * 64_000,
    "signs": "1 - " * 16_000,
    "commas": "1,000" * 13_000,
    "accents": "a" + "\u0315\u0300" * 32_000,
    "ligatures": "\ufdfa" * 64_000,
}


class TooMuchWorkError(Exception):
    """More lines of Python were run than allowed."""


@contextmanager
def at_most_lines(limit: int) -> Iterator[None]:
    """Raise `TooMuchWorkError` inside the block once it has run `limit` lines of Python."""
    ran = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:  # noqa: ANN401 - its own type
        nonlocal ran
        ran += 1
        if ran > limit:
            raise TooMuchWorkError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
