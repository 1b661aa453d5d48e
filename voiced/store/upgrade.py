"""Bring a database's tables up to date with this version of voiced.

A new database gets today's tables at once. One of an earlier version is led through Alembic's
migrations, which lie in the package beside this module; Alembic, with 12 MB and half a second, is
imported for that alone.
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect

from voiced.errors import StoreError
from voiced.store.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

NEWEST: Final = "0001"
"""The revision that `schema.py` describes: the head of the migrations."""

MIGRATIONS: Final = files("voiced.store") / "migrations"

_VERSION_TABLE: Final = "alembic_version"


def upgrade(connection: Connection) -> None:
    """Make, or bring up to date, all tables. Blocks; one transaction.

    Raises `StoreError` where a later voiced has written the database: it is left alone.
    """
    with connection.begin():
        version = read_version(connection)
        if version is None:
            metadata.create_all(connection)
            connection.exec_driver_sql(
                f"CREATE TABLE {_VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
            )
            connection.exec_driver_sql(f"INSERT INTO {_VERSION_TABLE} VALUES (?)", (NEWEST,))
        elif version != NEWEST:
            migrate(connection)


def read_version(connection: Connection) -> str | None:
    """The revision of the database; None of a new one."""
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    version = connection.exec_driver_sql(f"SELECT version_num FROM {_VERSION_TABLE}").scalar()
    return None if version is None else str(version)


def migrate(connection: Connection, revision: str = "head") -> None:
    """Lead the database through the migrations up to `revision`, in the transaction under way."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with as_file(MIGRATIONS) as directory:
        config = Config()
        config.set_main_option("script_location", str(directory).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as exc:
            raise StoreError(
                f"the database was made by another version of voiced ({exc}); update voiced, or "
                "move voiced.db out of the state directory"
            ) from exc
