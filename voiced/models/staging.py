"""Where a model is put together before it is one: beside the others, out of their sight."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from voiced.errors import ModelError, StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGING = ".adding"
"""Within the models directory."""

MOST_TRIES = 20
"""To get a lock that others delete meanwhile. Once is rare."""

READABLE, ENTERABLE = 0o644, 0o755
"""Models are no secret, and the daemon is another user than who installs them."""


@contextmanager
def open_staging(models: Path, source: str, *, keep: bool) -> Iterator[Path]:
    """The directory for what comes from `source`, held against another process.

    With `keep` an interruption, a lost connection or a full disk leaves what is there for the
    next time; what ends the block without `keep` leaves nothing, and no more does a model that
    is none. Raises `StorageError`, for every `OSError` of the block too, and `UsageError`.
    """
    staging = models / STAGING / hashlib.sha256(source.encode()).hexdigest()[:16]
    try:
        if not models.exists():
            models.mkdir(parents=True)
            models.chmod(ENTERABLE)
        lock = _hold(staging.with_suffix(".lock"))
    except OSError as exc:
        raise StorageError(f"cannot write to {models}: {exc.strerror}") from exc
    if lock is None:
        raise UsageError(f"{source} is being added by another process")
    try:
        staging.mkdir(exist_ok=True)
        with _tidied(staging, keep=keep):
            yield staging
    except OSError as exc:
        raise StorageError(f"cannot add {source}: {exc}") from exc
    finally:
        os.close(lock)


def _hold(path: Path) -> int | None:
    """The lock at `path`, made and held; None where another process holds it. Who held it before
    deletes the file, perhaps between our opening and our locking it: then it is nobody's lock."""
    for _ in range(MOST_TRIES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # so was the directory
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
            held = False
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = os.path.samestat(os.fstat(lock), path.stat())
                if held:
                    return lock
            except BlockingIOError:
                return None
            finally:
                if not held:
                    os.close(lock)
    return None


@contextmanager
def _tidied(staging: Path, *, keep: bool) -> Iterator[None]:
    """Leave nothing where nothing is left to continue."""
    try:
        yield
    except BaseException as exc:
        if not keep or isinstance(exc, ModelError):
            shutil.rmtree(staging, ignore_errors=True)
        raise
    finally:
        with suppress(OSError):  # not empty: to be continued; or another one is on its way
            if staging.exists():
                staging.rmdir()
            staging.with_suffix(".lock").unlink()
            staging.parent.rmdir()
