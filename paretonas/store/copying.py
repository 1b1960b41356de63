"""A copy of an SQLite database, whole whatever others write meanwhile."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from paretonas.errors import MachineError, UsageError
from paretonas.files import written_aside
from paretonas.store.database import Database


def copy_database(database: Database, path: Path) -> None:
    """Write a copy that is one file, by SQLite's own backup.

    Args:
        database: Is read.
        path: Is replaced if it exists.

    Raises:
        UsageError: It is a server's, or would be copied onto itself.
        MachineError: The system refuses.
    """
    if not database.address.is_sqlite:
        raise UsageError(f"A copy is made of an SQLite file, but {database.address} is a server's: use its own tools.")
    if database.address.file == path.resolve():
        raise UsageError(f"A copy has a file of its own, but {path} is the store itself.")
    with written_aside(path) as draft, database.reading() as connection:
        draft.touch()  # the system says what is wrong with the place better than SQLite does
        own = connection.connection.driver_connection
        assert isinstance(own, sqlite3.Connection)
        try:
            with closing(sqlite3.connect(draft)) as copy:
                own.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # nothing beside it
        except sqlite3.Error as error:
            raise MachineError(f"{path} cannot be written: {error}. Choose a place with space for it.") from error
