"""SQLite: one file, in a mode in which readers and a writer do not keep each other waiting."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from paretonas.errors import MachineError, ParetonasError, StoreError
from paretonas.files import refusals
from paretonas.store.address import Address
from paretonas.store.backend import Backend, Verdict, taken

PATIENCE, SILENT = 30.0, 2.0
"""Seconds that a transaction waits for another process, and before it says so."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_REMEDIES = {
    sqlite3.SQLITE_FULL: "Free some space",
    sqlite3.SQLITE_IOERR: "Look after the disk",
    sqlite3.SQLITE_READONLY: "Choose a place that can be written to",
    sqlite3.SQLITE_CANTOPEN: "Choose a place that you may read and write",
    sqlite3.SQLITE_NOMEM: "Free some memory",
    sqlite3.SQLITE_BUSY: "End the process that writes into it",
    sqlite3.SQLITE_LOCKED: "End the process that writes into it",
}
"""SQLite's errors that are the machine's, and what to do about them."""


class SQLite(Backend):
    """A file, or memory.

    Args:
        address: Its URL may have the option `timeout`, in seconds.

    Raises:
        ValueError: That is no number.
    """

    other = "name another file"

    def __init__(self, address: Address):
        self.address = address
        self._opened: tuple[int, int] | None = None
        self.engine = self._new_engine(address)
        self.patience = float(address.url.query.get("timeout", PATIENCE))  # type: ignore[arg-type]
        self.silent, self.pauses = SILENT, (0.05, 0.05)

    def is_there(self) -> bool:
        file = self.address.file
        if file is None:
            return True
        if not _is_file(file):
            return False
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1")
        except OperationalError as error:
            if _code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise
            self.engine.dispose()
            self.engine = self._new_engine(_unchanging(self.address, file))
        return True

    def _new_engine(self, address: Address) -> sa.Engine:
        engine = sa.create_engine(address.url)
        sa.event.listen(engine, "connect", _set_up)
        if self.address.file is not None:
            for moment in ("do_connect", "connect", "checkout"):
                sa.event.listen(engine, moment, self._check_opened)
        return engine

    def _check_opened(self, *_: Any) -> None:
        """Whether the file is the one that was opened first: a connection goes on with one that was moved or removed.

        Raises:
            MachineError: It is not.
        """
        now = _identity(self.address.file)
        self._opened = self._opened or now
        if now != self._opened:
            raise MachineError(
                f"The store {self.address} was moved, removed or replaced while it was open. Bring back the file that "
                "was there, then go on."
            )

    def make_place(self) -> None:
        file = self.address.file
        if file is not None:
            with refusals(f"The store {file} cannot be made"):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()

    def begin(self, connection: sa.Connection, is_synced: bool, is_making: bool) -> None:
        """Be the one who writes, from the beginning: then nothing later in the transaction has to wait."""
        if is_making:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        else:
            _set_synced(connection, is_synced)
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def judge(self, error: Exception) -> Verdict:
        reason, code = (error.orig if isinstance(error, DBAPIError) else error), _code(error)
        if isinstance(error, IntegrityError):
            return taken(self.address, error)
        ours: ParetonasError = StoreError(f"The store {self.address} failed: {reason}")
        if code in _REMEDIES:
            ours = MachineError(f"The store {self.address} cannot be used: {reason}. {_REMEDIES[code]}, then go on.")
        elif code == sqlite3.SQLITE_NOTADB:
            ours = StoreError(f"A store is an SQLite file or a database URL, but {self.address} is none: {reason}")
        elif code == sqlite3.SQLITE_CORRUPT:
            ours = StoreError(
                f"The store {self.address} is damaged: {reason}. Bring back a copy of it, or save what can be read: "
                "sqlite3 store.db .recover"
            )
        return Verdict(ours, is_passing=code in _BUSY)

    def waiting(self, holders: Callable[[], str], error: ParetonasError) -> str:
        return f"Waiting for {holders() or 'another process'}, which writes into {self.address}."

    def upsert(self, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
        return insert(table).values(row).on_conflict_do_update(index_elements=list(table.primary_key), set_=row)


def _set_up(connection: Any, _: Any) -> None:
    """A little patience with other writers, and foreign keys; nothing that changes the file."""
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={SILENT * 1e3:.0f}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _identity(file: Path | None) -> tuple[int, int] | None:
    """What tells a file from another of its name; None: there is none."""
    try:
        found = os.stat(file or "")
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _set_synced(connection: sa.Connection, is_synced: bool) -> None:
    """Whether the commits of a connection wait for the disk; said only where it changes."""
    if connection.info.get("is_synced") != is_synced:
        connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if is_synced else 'NORMAL'}")
        connection.info["is_synced"] = is_synced


def _is_file(file: Path) -> bool:
    """Whether there is such a file.

    Raises:
        StoreError: There is something else, or a folder of its path is none.
        MachineError: The system refuses to tell.
    """
    with refusals(f"The store {file} cannot be read"):
        try:
            there, is_right = file, stat.S_ISREG(file.stat().st_mode)  # looked at once: others may be making it
        except (FileNotFoundError, NotADirectoryError):
            there = next(place for place in file.parents if place.exists())
            is_right = there.is_dir()
    if not is_right:
        raise StoreError(
            f"A store is an SQLite file or a database URL, but {file} cannot be one: {there} is "
            f"{'no regular file' if there == file else 'no folder'}."
        )
    return there == file


def _unchanging(address: Address, file: Path) -> Address:
    """A file in a place that cannot be written to, as nobody changes it.

    Raises:
        MachineError: It cannot be read so, as what was written last is still in the file beside it.
    """
    log = file.with_name(f"{file.name}-wal")
    with refusals(f"The store {file} cannot be read"):
        with file.open("rb"):
            pass
        if log.exists() and log.stat().st_size:
            raise MachineError(
                f"What was written last into a store is in the file {log.name} beside it, and SQLite reads that only "
                f"where it may write. Copy {file.name} and {log.name} together to such a place."
            )
    return address.with_query({"mode": "ro", "immutable": "1"})


def _code(error: Exception) -> int | None:
    """SQLite's primary code of an error."""
    code = getattr(error.orig, "sqlite_errorcode", None) if isinstance(error, DBAPIError) else None
    return None if code is None else code & 0xFF
