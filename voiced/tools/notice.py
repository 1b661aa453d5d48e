"""What the daemon says unasked, and whether anybody heard it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Notice(msgspec.Struct, frozen=True):
    """A text to be said, such as that a timer is over.

    Whoever takes it calls `settle` when it is known, with true where somebody heard it: at most
    once true, and never waiting.
    """

    text: str
    settle: Callable[[bool], None]

    def shared(self, listeners: int) -> Notice:
        """The same for several: settled true with the first that heard it, false with the last
        of them where none did."""
        left, heard_once = listeners, False

        def settle(heard: bool) -> None:
            nonlocal left, heard_once
            left -= 1
            if not heard_once and (heard or not left):
                heard_once = heard
                self.settle(heard)

        return Notice(self.text, settle)
