"""Progress bars for people: on standard error, and only where that is a terminal."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Advance(Protocol):
    """Reports progress: how much of the total is done now, and perhaps what is being done, and a
    total that has become known."""

    def __call__(
        self, done: float, doing: str | None = None, total: float | None = None
    ) -> None: ...


@contextmanager
def show_progress(
    doing: str, total: float | None = None, unit: Literal["", "bytes"] = ""
) -> Iterator[Advance]:
    """Show a bar while the context lasts, a spinner where no total is known; then remove it.

    With the unit "bytes" it tells how many, and how many a second.
    """
    if not sys.stderr.isatty():
        yield _ignore
        return
    # Rich takes longer to import than most commands need.
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = list(Progress.get_default_columns())
    if unit == "bytes":
        columns[-1:-1] = [DownloadColumn(), TransferSpeedColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=total)

        def advance(done: float, doing: str | None = None, total: float | None = None) -> None:
            progress.update(task, completed=done, description=doing, total=total)

        yield advance


def _ignore(done: float, doing: str | None = None, total: float | None = None) -> None:
    """Nobody is looking."""
