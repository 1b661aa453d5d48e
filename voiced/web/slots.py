"""How many requests of a kind are worked on at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from voiced.web.bodies import RETRY_AFTER_S
from voiced.web.refusal import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


class Slots:
    """At most `most` at once. A further one is refused, not queued: its client may try again."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self.taken = 0

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold one for the time of the context. Raises `Refused` with 429 where none is free."""
        if self.taken >= self._most:
            message = f"The server works on {self._most} {self._what} already; try again later."
            headers = (("Retry-After", RETRY_AFTER_S[429]),)
            raise Refused(Refusal(429, "too_many_requests", message, headers))
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1
