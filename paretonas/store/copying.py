"""A copy of a store as one SQLite file, whole whatever others write meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from paretonas.errors import MachineError, UsageError
from paretonas.files import written_aside
from paretonas.store.address import read_address
from paretonas.store.database import Database
from paretonas.store.schema import holds, metadata

ROWS = 500
"""That are on their way at once."""


def copy_database(database: Database, path: Path) -> None:
    """Write a copy that is one SQLite file: of another by SQLite's own backup, of a server's database row by row.

    Args:
        database: Is read.
        path: Is replaced if it exists.

    Raises:
        UsageError: It would be copied onto itself.
        MachineError: The system refuses.
    """
    if database.address.file == path.resolve():
        raise UsageError(f"A copy has a file of its own, but {path} is the store itself.")
    copy = _copy_file if database.address.is_sqlite else _copy_rows
    with written_aside(path) as draft:
        draft.touch()  # the system says what is wrong with the place better than SQLite does
        database.read(lambda connection: copy(connection, draft))


def _copy_file(connection: sa.Connection, draft: Path) -> None:
    own = connection.connection.driver_connection
    assert isinstance(own, sqlite3.Connection)
    try:
        with closing(sqlite3.connect(draft)) as copy:
            own.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # nothing beside it
    except sqlite3.Error as error:
        raise _refused(draft, error) from error


def _copy_rows(connection: sa.Connection, draft: Path) -> None:
    """All tables as they were at one moment; nobody holds a search of the copy."""
    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    engine = sa.create_engine(read_address(draft).url, poolclass=sa.NullPool)
    draft.write_bytes(b"")  # of an attempt before this one
    for table in metadata.sorted_tables:
        query = sa.select(table).execution_options(stream_results=True, max_row_buffer=ROWS)
        for i, rows in enumerate([[]] if table is holds else connection.execute(query).mappings().partitions(ROWS)):
            try:
                with engine.begin() as copy:
                    if not i:
                        table.create(copy, checkfirst=True)
                    if rows:
                        copy.execute(table.insert(), [dict(row) for row in rows])
            except SQLAlchemyError as error:
                raise _refused(draft, error) from error


def _refused(draft: Path, error: Exception) -> MachineError:
    return MachineError(f"{draft} cannot be written: {error}. Choose a place with space for it.")
