"""Files that a job writes while it goes on: one that grows with its checkpoints, and its result."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import trio

from voiced.errors import StorageError, StorageFull
from voiced.store.room import FULL, write_all

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

T = TypeVar("T")

WRITE_BYTES: Final = 262_144
"""Written at once, so that a thread is worth its while."""

_LIMITER: Final = "voiced.jobs.journal"
_THREADS: Final = 2
_CLOSE_S: Final = 5.0


class Journal:
    """A file that is only added to. What was synced is never lost, and what a run added that was
    broken off is cut off by the next one."""

    def __init__(self, file: IO[bytes], path: Path, size: int) -> None:
        self._file = file
        self._path = path
        self._pending = bytearray()
        self._written = size

    @property
    def size(self) -> int:
        """Bytes, with those that are not written yet."""
        return self._written + len(self._pending)

    async def append(self, data: bytes) -> None:
        """Add to the end. Raises `StorageError`."""
        self._pending += data
        if len(self._pending) >= WRITE_BYTES:
            await self._flush()
        else:
            await trio.lowlevel.checkpoint()

    async def sync(self) -> int:
        """Bring all of it to disk; returns its size, to be kept with a checkpoint.

        Raises `StorageError`.
        """
        await self._flush()
        await in_thread(self._path, os.fdatasync, self._file.fileno())
        return self.size

    async def _flush(self) -> None:
        data, self._pending = bytes(self._pending), bytearray()
        await in_thread(self._path, write_all, self._file, data)
        self._written += len(data)


@asynccontextmanager
async def open_journal(path: Path, size: int) -> AsyncGenerator[Journal, None]:
    """The file at `path`, cut back to the `size` bytes that a checkpoint knows of; 0 begins anew.

    Raises `StorageError` where it cannot be opened, or is shorter: somebody else was at it.
    """
    file = await in_thread(path, _open_cut, path, size)
    try:
        yield Journal(file, path, size)
    finally:
        with trio.move_on_after(_CLOSE_S, shield=True):
            await in_thread(path, file.close)
        file.close()


async def write_result(path: Path, portions: Iterable[bytes]) -> None:
    """Write a file beside `path` and rename it into place, portion by portion, in threads.

    `portions` may read files. Raises `StorageError`; then, as when cancelled, there is no `path`.
    """
    beside = path.with_name(f".{path.name}.part")
    async with open_journal(beside, 0) as journal:
        iterator = iter(portions)
        while (portion := await in_thread(path, _gather, iterator)) is not None:
            await journal.append(portion)
        await journal.sync()
    await in_thread(path, os.replace, beside, path)


async def in_thread(path: Path, function: Callable[..., T], *args: Any) -> T:  # noqa: ANN401
    """Run what touches the disk in a thread. Cancelling waits for it. Raises `StorageError`."""
    try:
        return await trio.to_thread.run_sync(function, *args, limiter=_limiter())
    except OSError as exc:
        kind = StorageFull if exc.errno in FULL else StorageError
        raise kind(f"{path}: {exc.strerror or exc}") from exc


_LIMIT: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar(_LIMITER)


def _limiter() -> trio.CapacityLimiter:
    """Jobs' own: a card may take seconds for a write, and other threads are not to wait for it."""
    try:
        return _LIMIT.get()
    except LookupError:
        limiter = trio.CapacityLimiter(_THREADS)
        _LIMIT.set(limiter)
        return limiter


def _open_cut(path: Path, size: int) -> IO[bytes]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        length = os.fstat(descriptor).st_size
        if length < size:
            raise StorageError(f"{path} has {length} bytes, and {size} were written to it")
        os.ftruncate(descriptor, size)
        os.lseek(descriptor, size, os.SEEK_SET)
        return os.fdopen(descriptor, "r+b", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _gather(portions: Iterable[bytes]) -> bytes | None:
    """The next portions, joined to what is worth writing; None at their end."""
    joined = bytearray()
    for portion in portions:
        joined += portion
        if len(joined) >= WRITE_BYTES:
            break
    return bytes(joined) if joined else None
