"""Uploaded files on their way: on disk, without a name, and gone with their last user.

A file has no name from the moment it is made (`O_TMPFILE`, or by removing it at once), so that
the kernel frees it however the daemon ends.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import structlog
import trio

from voiced.errors import StorageError, StorageFull
from voiced.store.room import FULL, check_room, write_all

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

log = structlog.get_logger(__name__)

SPOOL_DIRECTORY: Final = "tmp"
"""Within the state directory: that is on a disk, unlike /tmp on many machines."""

WRITE_BYTES: Final = 524_288
"""Written at once, so that a thread is worth its while: 400 times for 200 MB."""

_THREADS: Final = 4
_CLOSE_S: Final = 2.0


class Spool:
    """Makes files in `directory`, which need not exist yet."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        # A card may take seconds for a write, and other threads are not to wait for it.
        self._limiter = trio.CapacityLimiter(_THREADS)

    @asynccontextmanager
    async def open(self, expected_bytes: int) -> AsyncGenerator[SpooledFile, None]:
        """A new file for the time of the context.

        Raises `StorageFull` where `expected_bytes` would leave too little room, and
        `StorageError` where no file can be made.
        """
        made = await self._run(self._make, expected_bytes)
        try:
            yield SpooledFile(made, self)
        finally:
            # To free hundreds of megabytes takes a moment.
            with trio.move_on_after(_CLOSE_S, shield=True):
                await trio.to_thread.run_sync(made.close, limiter=self._limiter)
            made.close()

    def sweep(self) -> None:
        """Remove what a killed daemon may have left, where files do get names. Blocks."""
        with contextlib.suppress(FileNotFoundError):
            for left in self._directory.iterdir():
                with contextlib.suppress(OSError):
                    left.unlink()

    async def write(self, file: IO[bytes], data: bytes) -> None:
        """Write all of it in a thread. Cancelling waits for the write."""
        await self._run(write_all, file, data)

    async def _run(self, function: Any, *args: Any) -> Any:  # noqa: ANN401  # passes through
        try:
            return await trio.to_thread.run_sync(function, *args, limiter=self._limiter)
        except OSError as exc:
            kind = StorageFull if exc.errno in FULL else StorageError
            raise kind(f"an upload cannot be kept in {self._directory}: {exc.strerror}") from exc

    def _make(self, expected_bytes: int) -> IO[bytes]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_room(os.statvfs(self._directory), expected_bytes)
        return tempfile.TemporaryFile(dir=self._directory, buffering=0)


class SpooledFile:
    """A file that grows. What is written is on disk once `flush` was called."""

    def __init__(self, file: IO[bytes], spool: Spool) -> None:
        self._file = file
        self._spool = spool
        self._pending = bytearray()
        self.size = 0

    def fileno(self) -> int:
        """The open file."""
        return self._file.fileno()

    async def write(self, data: bytes) -> None:
        """Add to the file; returns when there is room for more. Raises `StorageError`."""
        self._pending += data
        self.size += len(data)
        if len(self._pending) >= WRITE_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Write what was kept back."""
        pending, self._pending = bytes(self._pending), bytearray()
        if pending:
            await self._spool.write(self._file, pending)
