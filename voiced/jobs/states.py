"""The states of a job, and what leads from one to another. Pure."""

from __future__ import annotations

from typing import Final, Literal, get_args

Status = Literal["queued", "running", "parked", "completed", "failed", "cancelled"]

Event = Literal["begin", "park", "resume", "requeue", "complete", "fail", "cancel"]
"""`begin`: a run of it starts; `park` and `resume`: that run waits for it to cool down, or the
daemon stops; `requeue`: the run was broken off, and another one goes on from the checkpoint."""

STATUSES: Final[tuple[Status, ...]] = get_args(Status)
OVER: Final[tuple[Status, ...]] = ("completed", "failed", "cancelled")
"""Nothing leads out of these."""

WAITING: Final[tuple[Status, ...]] = ("queued", "parked")
"""A run may begin from these."""

_AFTER: Final[dict[tuple[Status, Event], Status]] = {
    ("queued", "begin"): "running",
    ("queued", "requeue"): "queued",
    ("queued", "cancel"): "cancelled",
    ("queued", "fail"): "failed",
    ("running", "park"): "parked",
    ("running", "requeue"): "queued",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("running", "cancel"): "cancelled",
    ("parked", "begin"): "running",
    ("parked", "resume"): "running",
    ("parked", "park"): "parked",
    ("parked", "requeue"): "queued",
    ("parked", "fail"): "failed",
    ("parked", "cancel"): "cancelled",
}


class WrongState(Exception):
    """The job is in no state for that: it is over, or was never begun."""


def after(status: Status, event: Event) -> Status:
    """The state that `event` leads to. Raises `WrongState` where it cannot happen."""
    try:
        return _AFTER[status, event]
    except KeyError:
        raise WrongState(f"a job that is {status} cannot {event}") from None
