"""Progress bars for people: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Advance(Protocol):
    """Reports progress: how much of the total is done now, and perhaps what is being done."""

    def __call__(self, done: float, doing: str | None = None) -> None: ...


@contextmanager
def show_progress(doing: str, total: float | None = None) -> Iterator[Advance]:
    """Show a bar while the context lasts, a spinner where no total is known; then remove it."""
    if not sys.stderr.isatty():
        yield _ignore
        return
    # Rich takes longer to import than most commands need.
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)

        def advance(done: float, doing: str | None = None) -> None:
            progress.update(task, completed=done, description=doing)

        yield advance


def _ignore(done: float, doing: str | None = None) -> None:
    """Nobody is looking."""
