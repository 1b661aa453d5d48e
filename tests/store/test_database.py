"""The database: whole transactions, a clean stop in the middle, and disks and files gone bad."""

from __future__ import annotations

import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from tests.patience import CEILING_S
from voiced.errors import StoreError, StoreFull
from voiced.store.database import DATABASE_NAME, MOST_DAMAGED, connect, open_database
from voiced.store.schema import jobs, metadata
from voiced.store.upgrade import NEWEST, migrate, read_version

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.engine import Connection

ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"


def add_note(connection: Connection, note: str) -> None:
    connection.execute(text("create table if not exists notes (note text)"))
    connection.execute(text("insert into notes values (:note)"), {"note": note})


def list_notes(connection: Connection) -> list[str]:
    return list(connection.scalars(text("select note from notes")))


def list_files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def kept_files(directory: Path) -> list[Path]:
    return list(directory.glob(f"{DATABASE_NAME}.damaged-*"))


async def test_what_was_written_is_there_the_next_time(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "first"))
    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "second"))
        assert await database.read(list_notes) == ["first", "second"]


async def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "secret"))
        modes = {path.name: path.stat().st_mode & 0o777 for path in list_files(tmp_path)}
    assert modes == {f"{DATABASE_NAME}{end}": 0o600 for end in ("", "-wal", "-shm")}


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(connection: Connection) -> None:
        add_note(connection, "half")
        raise LookupError

    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "whole"))
        with pytest.raises(LookupError):
            await database.write(fail)
        assert await database.read(list_notes) == ["whole"]


async def test_cancelling_interrupts_a_long_statement_and_writes_nothing(tmp_path: Path) -> None:
    began = threading.Event()

    def endless(connection: Connection) -> None:
        add_note(connection, "half")
        began.set()
        connection.execute(text(ENDLESS))

    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "whole"))
        with trio.fail_after(CEILING_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(database.write, endless)
                await trio.to_thread.run_sync(began.wait)
                nursery.cancel_scope.cancel(reason="enough")
            await database.write(lambda connection: add_note(connection, "next"))
        assert await database.read(list_notes) == ["whole", "next"]


async def test_transactions_take_turns(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(database.write, partial(add_note, note=str(number)))
        assert sorted(await database.read(list_notes), key=int) == [str(n) for n in range(20)]


async def test_readers_do_not_wait_for_the_writer(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    def linger(connection: Connection) -> None:
        add_note(connection, "second")
        began.set()
        go_on.wait(CEILING_S)

    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "first"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, linger)
            await trio.to_thread.run_sync(began.wait)
            with trio.fail_after(CEILING_S / 2):
                assert await database.read(list_notes) == ["first"]
            go_on.set()


async def test_a_damaged_file_is_moved_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    for _ in range(MOST_DAMAGED + 1):
        (tmp_path / DATABASE_NAME).write_bytes(b"no database at all" * 1000)
        async with open_database(tmp_path) as database:
            assert (
                await database.read(lambda connection: connection.execute(select(jobs)).all()) == []
            )
    assert 1 <= len(kept_files(tmp_path)) <= MOST_DAMAGED


async def test_damage_deep_in_the_file_is_found_at_the_start(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        for number in range(200):
            await database.write(partial(add_note, note=str(number) * 500))
    path = tmp_path / DATABASE_NAME
    whole = bytearray(path.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 20_000] = b"\xa5" * 20_000
    path.write_bytes(whole)
    async with open_database(tmp_path) as database:
        assert await database.read(lambda connection: connection.execute(select(jobs)).all()) == []
    assert kept_files(tmp_path)


async def test_a_full_disk_is_told_and_gets_over_once_there_is_room(tmp_path: Path) -> None:
    def fill(connection: Connection) -> None:
        add_note(connection, "x" * 1_000_000)

    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "before"))
        await database.write(
            lambda connection: connection.execute(text("pragma max_page_count=40"))
        )
        with pytest.raises(StoreFull):
            await database.write(fill)
        assert await database.read(list_notes) == ["before"]
        await database.write(
            lambda connection: connection.execute(text("pragma max_page_count=1000000"))
        )
        await database.write(fill)
        assert len(await database.read(list_notes)) == 2


async def test_a_place_that_cannot_be_written_is_tried_again_when_it_can(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with open_database(state) as database:  # there is no such directory
        with pytest.raises(StoreError):
            await database.read(list_notes)
        state.mkdir()
        await database.write(lambda connection: add_note(connection, "now"))
        assert await database.read(list_notes) == ["now"]


async def test_closing_twice_is_fine(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.close()
        await database.close()


def test_migrations_lead_to_the_tables_of_the_schema(tmp_path: Path) -> None:
    connection = connect(tmp_path / DATABASE_NAME, "BEGIN IMMEDIATE")
    with connection.begin():
        migrate(connection)
        assert read_version(connection) == NEWEST
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    connection.close()


async def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(lambda connection: add_note(connection, "from the future"))
        await database.write(
            lambda connection: connection.execute(
                text("update alembic_version set version_num='9'")
            )
        )
    async with open_database(tmp_path) as database:
        with pytest.raises(StoreError, match="another version"):
            await database.read(list_notes)
    with sqlite3.connect(tmp_path / DATABASE_NAME) as plain:
        assert plain.execute("select note from notes").fetchall() == [("from the future",)]
    plain.close()
