"""When to take what was said so far for the whole of a turn. Pure, in samples of the stream."""

from __future__ import annotations

from enum import Enum


class Guess(Enum):
    """What is to be done now."""

    NOTHING = "nothing"
    ASK = "ask"
    """Somebody fell silent: find out what they have said, and answer that in advance."""
    DROP = "drop"
    """They went on: what was guessed is not the question."""


class Guesser:
    """Follows one speaker. Each silence that is guessed at has a revision, higher than any before.

    `samples` is how long a silence has to be; 0 guesses never. `allowed` may be taken away and
    given back at any time.
    """

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self.allowed = True
        self._since: int | None = None
        self._asked = False
        self._withheld = False
        self.revision = 0
        self.withheld = 0
        """Silences in which nothing was asked since it was not allowed."""

    @property
    def guesses(self) -> bool:
        """Whether it ever does."""
        return self._samples > 0

    def follow(self, since: int | None, now: int) -> Guess:
        """The speaker has been silent since that sample, or is speaking (None)."""
        if since != self._since:
            self._since = since
            self._withheld = False
            if self._asked:
                self._asked = False
                return Guess.DROP
        if not self.guesses or since is None or self._asked or now - since < self._samples:
            return Guess.NOTHING
        if self.allowed:
            return Guess.ASK
        self.withheld += not self._withheld
        self._withheld = True
        return Guess.NOTHING

    def withdraw(self) -> Guess:
        """Take back what was asked about the silence that runs, if anything was."""
        asked, self._asked = self._asked, False
        return Guess.DROP if asked else Guess.NOTHING

    def asked(self) -> None:
        """The silence that runs is guessed at."""
        self._asked = True
        self.revision += 1

    def is_current(self, revision: int) -> bool:
        """Whether nobody has spoken since that guess."""
        return self._asked and revision == self.revision

    def end(self) -> None:
        """The turn is over; its guess, if any, stands."""
        self._since = None
        self._asked = False
