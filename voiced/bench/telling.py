"""What a bench of minutes says of its progress: a line of a spinner, or lines of text."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from voiced.cli.progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BETWEEN_LINES_S: Final = 2.0


@contextmanager
def tell_progress(title: str) -> Iterator[Callable[[str], None]]:
    """A function to tell what is done. On a terminal that is shown in place; elsewhere it is a line
    on standard error, every two seconds at most."""
    next_line = 0.0

    with show_progress(title) as advance:

        def tell(doing: str) -> None:
            nonlocal next_line
            advance(0, doing)
            if not sys.stderr.isatty() and trio.current_time() >= next_line:
                print(doing, file=sys.stderr, flush=True)
                next_line = trio.current_time() + _BETWEEN_LINES_S

        yield tell
