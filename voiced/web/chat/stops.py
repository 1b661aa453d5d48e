"""Stop sequences in a text that comes in pieces."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class StopFilter:
    """Lets text through up to the first stop sequence; what may become one is held back."""

    def __init__(self, stops: Iterable[str]) -> None:
        """Empty sequences stop nothing."""
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        #: Whether a sequence was found; nothing comes after it.
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take a piece and return what can go out."""
        if self.stopped:
            return ""
        text = self._held + text
        starts = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if starts:
            self.stopped = True
            self._held = ""
            return text[: min(starts)]
        keep = self._doubtful(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """No more text comes: return what was held back."""
        held, self._held = self._held, ""
        return held

    def _doubtful(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop sequence."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
