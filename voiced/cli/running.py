"""Running a command's coroutine, so that what ends it comes out as one plain exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import trio

from voiced.errors import VoicedError, leaves

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def run_trio(main: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
    """`trio.run`, for a command: nurseries wrap what ends them in groups, people read one line.

    Raises the first `VoicedError` of a group, or `KeyboardInterrupt` where one is in it; a group
    with anything else in it is a bug and stays as it is.
    """
    interrupted = False
    failure: VoicedError | None = None
    try:
        return trio.run(main, *args)
    except* KeyboardInterrupt:
        interrupted = True
    except* VoicedError as group:
        failure = leaves(group)[0]
    if interrupted:
        raise KeyboardInterrupt
    assert failure is not None
    raise failure
