"""The directories of jobs: each has its own, with its input and its result. All of it blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Final

from voiced.store.room import check_room

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOBS_DIRECTORY: Final = "jobs"
"""Within the state directory."""


class Shelf:
    """The directories under `root`, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, job_id: str) -> Path:
        """Where a job's files are."""
        return self._root / job_id

    def make(self, job_id: str) -> Path:
        """A new directory. Raises `OSError`."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = self.place(job_id)
        place.mkdir(mode=0o700)
        return place

    def secure(self, job_id: str) -> int:
        """Bring to disk what lies in a job's directory, so that a power cut takes none of it.

        Returns how many bytes there are. Raises `OSError`.
        """
        place = self.place(job_id)
        size = 0
        for path in place.iterdir():
            size += path.stat().st_size
            _sync(path)
        _sync(place)
        _sync(self._root)
        return size

    def measure(self, job_id: str) -> int:
        """Bytes in a job's directory. Raises `OSError` as of a full disk where too little is left
        free on it."""
        place = self.place(job_id)
        check_room(os.statvfs(place), 0)
        return sum(path.stat().st_size for path in place.iterdir())

    def size(self, job_id: str, name: str | None) -> int:
        """Bytes of one file of a job; 0 without any."""
        with contextlib.suppress(OSError):
            return (self.place(job_id) / name).stat().st_size if name else 0
        return 0

    def tidy(self, job_id: str, keep: str | None) -> None:
        """Remove all files of a job that is over but its result, `keep`."""
        with contextlib.suppress(OSError):
            for path in self.place(job_id).iterdir():
                if path.name != keep:
                    path.unlink(missing_ok=True)

    def remove(self, job_id: str) -> None:
        """Remove a job's directory; one that is not there is no error."""
        shutil.rmtree(self.place(job_id), ignore_errors=True)

    def sweep(self, kept: Mapping[str, str | None]) -> None:
        """Remove what no job needs: of uploads that were cut off, and of jobs that were being
        tidied when the daemon ended. `kept` has the only file to keep by job, None for all."""
        with contextlib.suppress(FileNotFoundError):
            for path in list(self._root.iterdir()):
                if path.name not in kept:
                    shutil.rmtree(path, ignore_errors=True)
                elif (keep := kept[path.name]) is not None:
                    self.tidy(path.name, keep)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
