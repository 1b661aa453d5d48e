"""What an engine's process tells of an exception on its stderr: where it happened.

The message of a library's exception may quote its input, and that is what somebody has said or
is told: it is for the debug level alone.
"""

from __future__ import annotations

import sys
import threading
import traceback
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_FRAMES = 20
_MOST_CAUSES = 4


def report(exc: BaseException) -> None:
    """A debug line with the message, and a warning with types and frames, without it."""
    message = " ".join(f"{type(exc).__name__}: {exc}".split())
    print(f"<7>{message}", file=sys.stderr)
    print(f"<4>{describe(exc)}", file=sys.stderr)


def report_everything() -> None:
    """Have exceptions reported so that nobody catches: in threads, and in finalizers."""

    def report_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            report(args.exc_value)

    def report_unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            report(args.exc_value)

    threading.excepthook = report_thread
    sys.unraisablehook = report_unraisable


def describe(exc: BaseException) -> str:
    """Type and innermost frames (`file:line function`) of it and of what caused it, in one line."""
    return "; caused by ".join(
        " ".join([type(error).__name__, *_frames(error)])
        for error in islice(_causes(exc), _MOST_CAUSES)
    )


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)


def _frames(exc: BaseException) -> list[str]:
    frames = [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(exc.__traceback__)
    ]
    return ["at " + ", ".join(frames[-_MOST_FRAMES:])] if frames else []
