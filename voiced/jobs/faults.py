"""What it means for a job that something went wrong in its run. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from voiced.errors import (
    EngineBusy,
    EngineCrashed,
    EnginePreempted,
    EngineUnavailable,
    MediaError,
    ProviderFailed,
    StorageFull,
    StoreError,
    StoreFull,
    TooHot,
    VoicedError,
    leaves,
)
from voiced.jobs.records import Note
from voiced.store.room import FULL

PASSING: Final = (
    EngineBusy,
    EngineCrashed,
    EnginePreempted,
    EngineUnavailable,
    MediaError,
    ProviderFailed,
    StoreError,
)
"""What may go well the next time."""

GIVING_WAY: Final = (EnginePreempted, TooHot)
"""Of those, what is as it should be: a conversation needed the engine, or it is too hot."""

LASTING: Final = (StorageFull, StoreFull)
"""Of those, what will not until somebody makes room."""

FIRST_WAIT_S: Final = 2.0
LONGEST_WAIT_S: Final = 60.0

NO_ROOM: Final = Note(StoreFull.code, "The server's disk is full.")


class Verdict(msgspec.Struct, frozen=True):
    """Whether to try again, and what to say of it; `bug` where the fault is in our code, and
    `gave_way` where there is none."""

    again: bool
    note: Note
    bug: bool = False
    gave_way: bool = False


def judge(fault: Exception) -> Verdict:
    """What to make of an exception, or a group of them, that ended a run."""
    found = leaves(fault) if isinstance(fault, ExceptionGroup) else [fault]
    for error in found:
        if isinstance(error, OSError) and error.errno in FULL:
            return Verdict(False, NO_ROOM)
    for error in found:
        if not isinstance(error, VoicedError):
            return Verdict(False, Note("job_failed", "The server failed at this job."), bug=True)
    error = found[0]
    assert isinstance(error, VoicedError)
    again = isinstance(error, PASSING) and not isinstance(error, LASTING)
    return Verdict(again, Note(error.code, error.public), gave_way=isinstance(error, GIVING_WAY))


def wait_s(tries: int) -> float:
    """How long to wait before the next run, after so many since anything was done."""
    return float(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** max(0, tries - 1)))
