"""Which words of a transcript that still grows may be shown: those two hypotheses agree on. Pure.

LocalAgreement-2 of Macháček, Dabre and Bojar, "Turning Whisper into Real-Time Transcription
System", 2023: a word is emitted once two hypotheses in a row have it, and never taken back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Agreement:
    """Push each hypothesis of the whole utterance so far; `text` grows at its end only."""

    def __init__(self) -> None:
        self._emitted: list[str] = []
        self._last: list[str] = []

    @property
    def text(self) -> str:
        """All words emitted so far."""
        return "".join(self._emitted).strip()

    def push(self, words: Sequence[str]) -> str:
        """The next hypothesis, its words with the spaces before them; returns `text`.

        Where it begins with what was emitted, what follows counts; where the model has changed
        its mind about that, only the places behind it do.
        """
        done = len(self._emitted)
        for old, new in zip(self._last[done:], words[done:], strict=False):
            if _plain(old) != _plain(new):
                break
            self._emitted.append(new)
        self._last = list(words)
        return self.text

    def settle(self, words: Sequence[str]) -> str:
        """The last hypothesis: all of it that goes beyond what was emitted counts."""
        self._emitted += words[len(self._emitted) :]
        return self.text


def _plain(word: str) -> str:
    """A word as it sounds: marks and capitals come and go while a sentence grows."""
    heard = "".join(character for character in word if character.isalnum())
    return heard.casefold() or word.strip()
