"""What outlives the daemon: one SQLite file in the state directory, used from threads of its own.

Nothing that makes sound waits for it: an SD card may take seconds to bring a page to disk.

- One writer. Its transactions come one after another, each in a thread, each whole or not at all;
  readers do not wait for it (WAL).
- `synchronous=FULL`: what was committed survives a power cut, and not the daemon only. Little is
  written, a few pages for each segment of a job, so that this wears no card.
- A file that is damaged is moved aside and a new one begun, since the daemon is there to talk.
  While the disk is full or cannot be written everything here fails with `StoreError`, and is tried
  anew when it is next asked for; the daemon starts and talks all the same.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import outcome
import structlog
import trio
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from voiced.errors import StoreError, StoreFull
from voiced.store.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from sqlalchemy.engine import Connection

T = TypeVar("T")

log = structlog.get_logger(__name__)

DATABASE_NAME: Final = "voiced.db"

BUSY_S: Final = 5.0
"""How long a lock is waited for that somebody else holds: an operator with `sqlite3`, a backup."""

WAIT_S: Final = 30.0
"""How long a transaction waits for those before it. A card that writes nothing for longer is one
that callers should hear of."""

CLOSE_S: Final = 5.0

INTERRUPT_S: Final = 60.0
INTERRUPT_EVERY_S: Final = 0.02

MOST_DAMAGED: Final = 2
"""So many damaged files are kept, for whoever wants to look at them."""

_FULL: Final = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC"}
_DAMAGED: Final = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}
_BESIDE: Final = ("-wal", "-shm")

_PRAGMAS: Final = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "cache_size=-512",  # KiB: rows are small, and the system caches the file anyway
    "journal_size_limit=1048576",
)


@asynccontextmanager
async def open_database(state: Path) -> AsyncGenerator[Database, None]:
    """The database of the state directory, opened and upgraded where that is possible now.

    Raises nothing where it is not: that is logged, and each use raises `StoreError` until it
    succeeds. Leaving the block waits for the transaction under way, no longer than `CLOSE_S`.
    """
    database = Database(state / DATABASE_NAME)
    try:
        await database.open()
        yield database
    finally:
        with trio.move_on_after(CLOSE_S, shield=True):
            await database.close()


class Database:
    """Transactions on one SQLite file. Made by `open_database`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = Line(path, begin="BEGIN IMMEDIATE", prepare=self._prepare)
        self._reader = Line(path, begin="BEGIN")

    async def open(self) -> None:
        """Open the file, once, so that the first use need not. What fails is logged."""
        with suppress(StoreError):
            await self.write(lambda connection: None)

    async def write(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in a thread, as one transaction: all that it writes, or nothing.

        It must not keep the connection, and must not touch Trio. Cancelling interrupts it, waits
        until it has stopped, and nothing is written, unless it was being committed just then.
        Raises `StoreError`, and what `function` raises.
        """
        return await self._writer.run(function)

    async def read(self, function: Callable[[Connection], T]) -> T:
        """Run `function` in a thread, seeing one state of the database. As `write`, otherwise."""
        if not self._writer.is_open:
            await self.write(lambda connection: None)
        return await self._reader.run(function)

    async def close(self) -> None:
        """Close the file. Closing twice is fine."""
        await self._reader.close()
        await self._writer.close()

    def _prepare(self) -> Connection:
        """Open for the first time: look for damage, bring the tables up to date. In a thread."""
        try:
            return self._open_checked()
        except DBAPIError as exc:
            if _name(exc) not in _DAMAGED:
                raise
            kept = set_aside(self._path)
            log.error("database was damaged; a new one is begun", kept=kept.name, cause=_cause(exc))
        return self._open_checked()

    def _open_checked(self) -> Connection:
        connection = connect(self._path, "BEGIN IMMEDIATE")
        try:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            connection.rollback()
            if found != "ok":
                damage = sqlite3.DatabaseError(str(found))
                damage.sqlite_errorname = "SQLITE_CORRUPT"
                raise DBAPIError("PRAGMA quick_check", None, damage)
            upgrade(connection)
        except BaseException:
            connection.close()
            raise
        return connection


class TransactionCancelled(Exception):
    """Undoes a transaction that nobody waits for any more. Never leaves this module."""


class Transaction(Generic[T]):
    """A transaction under way: shared by the thread that runs it and the task that waits."""

    def __init__(self, function: Callable[[Connection], T]) -> None:
        self.function = function
        self.cancelled = False
        self.over = False


class Line:
    """One connection, and the turn of those who use it, each in a thread."""

    def __init__(
        self, path: Path, *, begin: str, prepare: Callable[[], Connection] | None = None
    ) -> None:
        self._path = path
        self._begin = begin
        self._prepare = prepare
        self._connection: Connection | None = None
        self._turn = trio.Lock()
        self._limiter = trio.CapacityLimiter(1)
        self._told = ""

    @property
    def is_open(self) -> bool:
        """Whether the file was opened."""
        return self._connection is not None

    async def run(self, function: Callable[[Connection], T]) -> T:
        """See `Database.write`."""
        with trio.move_on_after(WAIT_S):
            await self._turn.acquire()
        if self._turn.statistics().owner is not trio.lowlevel.current_task():
            raise StoreError(f"the database was busy for {WAIT_S:g} s")
        try:
            return await self._run(function)
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Wait for the one whose turn it is, and close."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                await trio.to_thread.run_sync(connection.close, limiter=self._limiter)

    async def _run(self, function: Callable[[Connection], T]) -> T:
        transaction = Transaction(function)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._interrupt_when_cancelled, transaction)
            try:
                # Not left before the thread is done, cancelled or not.
                result = await trio.to_thread.run_sync(
                    outcome.capture, self._transact, transaction, limiter=self._limiter
                )
            finally:
                transaction.over = True
            nursery.cancel_scope.cancel(reason="the transaction is over")
        if isinstance(result, outcome.Value):
            self._told = ""
            return result.value
        if isinstance(result.error, SQLAlchemyError | OSError):
            raise self._told_once(store_error(result.error)) from result.error
        raise result.error

    async def _interrupt_when_cancelled(self, transaction: Transaction[T]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            transaction.cancelled = True
            # Again and again: an interruption between two statements stops none.
            with trio.move_on_after(INTERRUPT_S, shield=True):
                while not transaction.over:
                    if self._connection is not None:
                        _driver(self._connection).interrupt()
                    await trio.sleep(INTERRUPT_EVERY_S)

    def _transact(self, transaction: Transaction[T]) -> T:
        if self._connection is None:
            self._connection = (
                self._prepare() if self._prepare else connect(self._path, self._begin)
            )
        with self._connection.begin():
            found = transaction.function(self._connection)
            if transaction.cancelled:
                raise TransactionCancelled
            return found

    def _told_once(self, error: StoreError) -> StoreError:
        if self._told != str(error):
            self._told = str(error)
            log.error("database cannot be used", cause=str(error))
        return error


def connect(path: Path, begin: str) -> Connection:
    """Open the file, made where it is missing, for threads that take turns. Blocks."""
    # What was said is nobody else's business, whatever the umask; SQLite's other files follow suit.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        connect_args={"timeout": BUSY_S, "check_same_thread": False, "isolation_level": None},
    )

    def prepare(driver: sqlite3.Connection, _: object) -> None:
        for pragma in _PRAGMAS:
            driver.execute(f"PRAGMA {pragma}")

    # sqlite3's own transactions would begin late, and as readers (SQLAlchemy's documentation,
    # "Serializable isolation / Savepoints / Transactional DDL").
    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine.connect()


def set_aside(path: Path) -> Path:
    """Rename a damaged database, and let go of the oldest of those kept. Blocks."""
    kept = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}")
    path.rename(kept)
    for suffix in _BESIDE:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    for old in sorted(path.parent.glob(f"{path.name}.damaged-*"))[:-MOST_DAMAGED]:
        old.unlink(missing_ok=True)
    return kept


def store_error(exc: SQLAlchemyError | OSError) -> StoreError:
    """What went wrong, in one line for the log, of a kind that callers can tell."""
    if isinstance(exc, DBAPIError) and _name(exc) in _FULL:
        return StoreFull("the disk is full: the database cannot grow")
    return StoreError(f"the database cannot be used: {_cause(exc)}")


def _name(exc: DBAPIError) -> str:
    return str(getattr(exc.orig, "sqlite_errorname", ""))


def _cause(exc: Exception) -> str:
    return str(exc.orig if isinstance(exc, DBAPIError) else exc).splitlines()[0]


def _driver(connection: Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.dbapi_connection)
