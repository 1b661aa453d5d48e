"""Putting what a command has made where it was asked for."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from voiced.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def workplace(out: Path | None = None) -> Iterator[Path]:
    """A directory to work in: beside `out`, of which a part is made in it, so that hours of sound
    need not be copied.

    It is gone with the context, whatever is in it. Raises `StorageError`, naming `out`, before
    anything is done where nothing can be written there.
    """
    beside = None if out is None or _is_special(out) else out.parent
    try:
        folder = tempfile.TemporaryDirectory(
            prefix=".voiced-", dir=beside, ignore_cleanup_errors=True
        )
    except OSError as exc:
        raise StorageError(f"{out or tempfile.gettempdir()}: {exc.strerror or exc}") from exc
    with folder as name:
        yield Path(name)


def put_in_place(made: Path, out: Path) -> None:
    """`made` becomes `out`, replacing what is there; into a device or a pipe it is written.

    Raises `StorageError`, naming `out`.
    """
    try:
        if _is_special(out):
            with made.open("rb") as source, out.open("wb") as target:
                shutil.copyfileobj(source, target)
            return
        made.chmod(0o666 & ~_umask())
        # What is named by a link is replaced, and not the link.
        shutil.move(made, os.path.realpath(out))
    except OSError as exc:
        raise StorageError(f"{out}: {exc.strerror or exc}") from exc


def _is_special(out: Path) -> bool:
    return out.exists() and not out.is_file()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
