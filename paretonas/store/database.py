"""A database that is read without being written, made when it is first written, and whose errors are ours."""

from __future__ import annotations

import hashlib
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from paretonas.errors import MachineError, ParetonasError, StoreError
from paretonas.files import refusals
from paretonas.store.address import Address, read_address
from paretonas.store.lease import Leases
from paretonas.store.schema import SCHEMA_VERSION, metadata, schema

T = TypeVar("T")

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


class TakenError(StoreError):
    """A row has a key that another one has."""


class Database:
    """Transactions of a database that need not be there yet.

    Args:
        location: Path of an SQLite file, or an SQLAlchemy URL.

    Attributes:
        address: Where it lies.
        leases: Who writes into which of its searches.

    Raises:
        StoreError: It cannot be opened, is another program's, or was made by another version.
        MachineError: The system refuses.
    """

    def __init__(self, location: str | Path):
        try:
            self.address = read_address(location)
            self._engine = _engine(self.address)
            self._patience = float(self.address.url.query.get("timeout", PATIENCE))  # type: ignore[arg-type]
        except (SQLAlchemyError, ImportError, ValueError) as error:
            raise StoreError(f"A store is an SQLite file or a database URL, but {location} is none: {error}") from error
        self.leases = Leases(_lock_folder(self.address))
        self._is_there = self._is_made = False
        try:
            with self._translated():
                self._look()
        except ParetonasError:
            self.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether it has been made."""
        with self._translated():
            return self._look()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that writes nothing; what is not there yet is read as empty."""
        with self._translated():
            engine = self._engine if self._look() else self._nothing
            with engine.begin() as connection:
                yield connection

    @contextmanager
    def writing(self, is_synced: bool = False) -> Iterator[sa.Connection]:
        """A transaction, after whatever is missing was made.

        Args:
            is_synced: SQLite waits until it is on the disk, with all earlier ones; others have rules of their own.
        """
        with self._translated():
            self._make()
            with self._engine.begin() as connection:
                if self.address.is_sqlite:
                    _set_synced(connection, is_synced)
                    self._begin(connection)
                yield connection

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @cached_property
    def _nothing(self) -> sa.Engine:
        """An empty database."""
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(engine)
        return engine

    # Whether it is there

    def _look(self) -> bool:
        """Whether our tables are there; another process may be about to make them."""
        file = self.address.file
        if not self._is_there and (file is None or _is_file(file)):
            try:
                self._is_there = self._patiently(self._inspect)
            except OperationalError as error:
                if file is None or _code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                    raise
                self.close()
                self._engine = _engine(_unchanging(self.address, file))
                self._is_there = self._inspect()
        return self._is_there

    def _inspect(self) -> bool:
        with self._engine.connect() as connection:
            return self._has_tables(connection)

    def _has_tables(self, connection: sa.Connection) -> bool:
        """Whether the tables are there, and ours."""
        names, version = set(sa.inspect(connection).get_table_names()), None
        if schema.name in names:
            columns = [column["name"] for column in sa.inspect(connection).get_columns(schema.name)]
            version = connection.scalar(sa.select(schema)) if columns == schema.columns.keys() else None
        if version is None:
            others = names - metadata.tables.keys()
            if others and (self.address.is_sqlite or names & metadata.tables.keys()):
                raise StoreError(
                    f"A store has a database of its own, but {self.address} has tables of another program "
                    f"({', '.join(sorted(others)[:3])}). It was left as it is; name another file."
                )
            return False
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"This version reads stores of schema {SCHEMA_VERSION}, but {self.address} has {version!r:.20}. Use "
                "the version of paretonas that made it, or begin another store with --home or --store."
            )
        return True

    def _make(self) -> None:
        """Make what is missing; another process may be doing the same."""
        if self._is_made:
            return
        file = self.address.file
        if not self._look() and file is not None:
            with refusals(f"The store {file} cannot be made"):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
        with self._engine.begin() as connection:
            if self.address.is_sqlite:
                self._patiently(lambda: connection.exec_driver_sql("PRAGMA journal_mode=WAL"))
                self._begin(connection)
            if not self._has_tables(connection):
                metadata.create_all(connection)
                connection.execute(schema.insert().values(version=SCHEMA_VERSION))
        self._is_there = self._is_made = True

    # Others

    def _begin(self, connection: sa.Connection) -> None:
        """Be the one who writes, from the beginning: then nothing later in the transaction has to wait."""
        self._patiently(lambda: connection.exec_driver_sql("BEGIN IMMEDIATE"))

    def _patiently(self, call: Callable[[], T]) -> T:
        """Try again while another process writes; who waits longer than two seconds says for whom."""
        begin, has_said = time.monotonic(), False
        while True:
            try:
                return call()
            except OperationalError as error:
                waited = time.monotonic() - begin
                if _code(error) not in _BUSY or waited > self._patience:
                    raise
                if waited > SILENT and not has_said:
                    who = self.leases.holders() or "another process"
                    sys.stderr.write(f"Waiting for {who}, which writes into {self.address}.\n")
                    has_said = True
            time.sleep(0.05)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Errors of the database are ours."""
        try:
            yield
        except (SQLAlchemyError, UnicodeDecodeError) as error:
            raise self._translation(error) from error

    def _translation(self, error: Exception) -> ParetonasError:
        reason, code = (error.orig if isinstance(error, DBAPIError) else error), _code(error)
        if isinstance(error, IntegrityError):
            return TakenError(f"The rows of a store have keys of their own, but of {self.address}: {reason}")
        if code in _REMEDIES:
            return MachineError(f"The store {self.address} cannot be used: {reason}. {_REMEDIES[code]}, then go on.")
        if code == sqlite3.SQLITE_NOTADB:
            return StoreError(f"A store is an SQLite file or a database URL, but {self.address} is none: {reason}")
        if code == sqlite3.SQLITE_CORRUPT:
            return StoreError(
                f"The store {self.address} is damaged: {reason}. Bring back a copy of it, or save what can be read: "
                "sqlite3 store.db .recover"
            )
        if isinstance(error, OperationalError) and not self.address.is_sqlite:
            return MachineError(f"The database {self.address} refuses: {reason}. See to it, then go on.")
        return StoreError(f"The store {self.address} failed: {reason}")


def _engine(address: Address) -> sa.Engine:
    engine = sa.create_engine(address.url)
    if address.is_sqlite:
        sa.event.listen(engine, "connect", _set_up_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    """A little patience with other writers, and foreign keys; nothing that changes the file."""
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={SILENT * 1e3:.0f}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _set_synced(connection: sa.Connection, is_synced: bool) -> None:
    """Whether the commits of an SQLite connection wait for the disk; said only where it changes."""
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


def _lock_folder(address: Address) -> Path | None:
    """Beside the file itself, however it was named; None where nobody else can write: in memory."""
    if address.file is not None:
        return address.file.with_name(f"{address.file.name}.locks")
    if address.is_sqlite:
        return None
    place = hashlib.sha256(address.url.render_as_string().encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"paretonas-{place}")


def _code(error: Exception) -> int | None:
    """SQLite's primary code of an error."""
    code = getattr(error.orig, "sqlite_errorcode", None) if isinstance(error, DBAPIError) else None
    return None if code is None else code & 0xFF
