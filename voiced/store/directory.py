"""The state directory, which belongs to one daemon for as long as that runs."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from voiced.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

LOCK_NAME = "lock"
_PID_BYTES = 20


@contextmanager
def hold_directory(directory: Path) -> Iterator[None]:
    """Make `directory` where it is missing, and keep other daemons out of it during the block.

    The lock goes with the process, however that ends; its file stays and means nothing by itself.
    Raises `StartupError`, in one line, where the directory is not writable or another daemon has
    it. On a file system that knows no locks there is none, which is logged.
    """
    path = directory / LOCK_NAME
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise _not_writable(directory, exc) from exc
    try:
        _lock(descriptor, directory)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as exc:
            raise _not_writable(directory, exc) from exc
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Who has just taken it may not have written its number yet.
        pid = os.pread(descriptor, _PID_BYTES, 0).decode(errors="replace").strip()
        who = f"process {pid}" if pid.isdigit() else "its process is not known"
        raise StartupError(
            f"another voiced uses the state directory {directory} ({who}); stop that one, or give "
            "this one a store.directory and a server.port of its own"
        ) from None
    except OSError as exc:
        log.warning("state directory not locked", path=str(directory), cause=exc.strerror)


def _not_writable(directory: Path, exc: OSError) -> StartupError:
    if isinstance(exc, FileExistsError | NotADirectoryError):
        return StartupError(
            f"the state directory {directory} is no directory, or lies in something that is none; "
            "set store.directory"
        )
    return StartupError(
        f"the state directory {directory} is not writable ({exc.strerror}); "
        "set store.directory, or give this user the right to write there"
    )
