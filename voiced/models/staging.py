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
        staging.mkdir(parents=True, exist_ok=True)
        lock = os.open(staging.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    except OSError as exc:
        raise StorageError(f"cannot write to {models}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{source} is being added by another process") from None
        with _tidied(staging, keep=keep):
            yield staging
    except OSError as exc:
        raise StorageError(f"cannot add {source}: {exc}") from exc
    finally:
        os.close(lock)


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
