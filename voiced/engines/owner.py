"""For whom an engine works: those who want it at once take turns, however much each asks for."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from voiced.engines.ports import Priority

if TYPE_CHECKING:
    from collections.abc import Iterable

    from voiced.engines.call import Call

request_owner: ContextVar[str] = ContextVar("request_owner", default="")
"""Whose requests to engines the current task makes, a session's id say; tasks started from it
inherit that. "" is nobody in particular: each such request counts as an owner of its own."""


class Rounds:
    """Start-time fair queuing: in a round of service each owner has one request.

    The first request of an owner joins the round that is being served, each further one the
    round after the owner's last. Served in order of rounds, nobody waits for more than one
    request of each other owner.
    """

    def __init__(self) -> None:
        self._served = dict.fromkeys(Priority, 0)

    def join(self, call: Call, others: Iterable[Call]) -> None:
        """Give `call` its round, `others` being all that wait or run."""
        after_own = (
            other.round + 1
            for other in others
            if other.owner == call.owner != ""
            and other.priority is call.priority
            and other is not call
        )
        call.round = max(self._served[call.priority], *after_own, 0)

    def serve(self, call: Call) -> None:
        """`call` has been started."""
        self._served[call.priority] = max(self._served[call.priority], call.round)
