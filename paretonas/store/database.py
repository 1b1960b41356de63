"""A database that is read without being written, made when it is first written, and whose errors are ours."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from paretonas.errors import ParetonasError, StoreError
from paretonas.store.address import Address, read_address, without_passwords
from paretonas.store.backend import Backend, TakenError, Verdict
from paretonas.store.file_lock import FileLocks
from paretonas.store.lease import Leases, Lock
from paretonas.store.postgres import PostgreSQL
from paretonas.store.row_lock import RowLocks
from paretonas.store.schema import SCHEMA_VERSION, metadata, schema
from paretonas.store.sqlite import SQLite

T = TypeVar("T")
Body = Callable[[sa.Connection], T]
"""What is done in a transaction; may be done again, as long as no transaction of it was committed."""


class Database:
    """Transactions of a database that need not be there yet.

    Args:
        location: Path of an SQLite file, or the URL of one or of a PostgreSQL database.

    Attributes:
        address: Where it lies.
        leases: Who writes into which of its searches.

    Raises:
        StoreError: It cannot be opened, is another program's, or was made by another version.
        MissingPackageError: The driver of its server is absent.
        MachineError: The system, or the server, refuses.
    """

    def __init__(self, location: str | Path):
        try:
            self.address = read_address(location)
            self._backend: Backend = _backend(self.address)
        except (SQLAlchemyError, ImportError, ValueError) as error:
            written, reason = map(without_passwords, (str(location), str(error)))
            raise StoreError(f"A store is an SQLite file or a database URL, but {written} is none: {reason}") from None
        self.leases = Leases(self._lock())
        self._is_there = self._is_made = self._has_given_up = False
        try:
            self._attempt(self._look)
        except ParetonasError:
            self.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether it has been made."""
        return self._attempt(self._look)

    def read(self, body: Body[T]) -> T:
        """A transaction that writes nothing; what is not there yet is read as empty."""

        def attempt() -> T:
            engine = self._engine if self._look() else self._nothing
            with engine.begin() as connection:
                return body(connection)

        return self._attempt(attempt)

    def fetch(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """The rows of one query; of what is not there yet, none."""

        def attempt() -> Sequence[sa.Row[Any]]:
            engine = self._backend.reader if self._look() else self._nothing
            with engine.connect() as connection:
                return connection.execute(query).all()

        return self._attempt(attempt)

    def write(
        self, body: Body[T], *, search: str | None = None, is_synced: bool = False, patience: float | None = None
    ) -> T:
        """A transaction, after whatever is missing was made.

        Args:
            body: What is done.
            search: Into which it writes; if this process holds it, that is seen to.
            is_synced: SQLite waits until it is on the disk, with all earlier ones; a server always does.
            patience: Seconds for which it is tried again; None: as is usual for the kind of database.
        """

        def attempt() -> T:
            self._make()
            with self._engine.begin() as connection:
                self._backend.begin(connection, is_synced, False)
                if search is not None:
                    self.leases.fence(connection, search)
                return body(connection)

        return self._attempt(attempt, patience)

    def upsert(self, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
        """A statement that puts a row in the place of the one with its primary key, or beside the others."""
        return self._backend.upsert(table, row)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @property
    def _engine(self) -> sa.Engine:
        return self._backend.engine

    @cached_property
    def _nothing(self) -> sa.Engine:
        """An empty database."""
        engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(engine)
        return engine

    def _lock(self) -> Lock | None:
        """What keeps others out; in memory there are none."""
        file = self.address.file
        if file is not None:  # beside the file itself, however it was named
            return FileLocks(file.with_name(f"{file.name}.locks"), self)
        return None if self.address.is_sqlite else RowLocks(self)

    # Whether it is there

    def _look(self) -> bool:
        """Whether our tables are there; another process may be about to make them."""
        if not self._is_there and self._backend.is_there():
            with self._engine.connect() as connection:
                self._is_there = self._has_tables(connection)
        return self._is_there

    def _has_tables(self, connection: sa.Connection) -> bool:
        """Whether the tables are there, and ours."""
        names, version = set(sa.inspect(connection).get_table_names()), None
        if schema.name in names:
            columns = [column["name"] for column in sa.inspect(connection).get_columns(schema.name)]
            version = connection.scalar(sa.select(schema)) if columns == schema.columns.keys() else None
        if version is None:
            others = names - metadata.tables.keys()
            if others:
                raise StoreError(
                    f"A store has a database of its own, but {self.address} has tables of another program "
                    f"({', '.join(sorted(others)[:3])}). It was left as it is; {self._backend.other}."
                )
            return False
        if version != SCHEMA_VERSION:
            age = "an older" if isinstance(version, int) and version < SCHEMA_VERSION else "a newer"
            raise StoreError(
                f"This version reads stores of schema {SCHEMA_VERSION}, but {self.address} has {version!r:.20}, of "
                f"{age} version of paretonas. It was left as it is: use that version, or begin another store with "
                "--home or --store."
            )
        return True

    def _make(self) -> None:
        """Make what is missing; another process may be doing the same."""
        if self._is_made:
            return
        if not self._look():
            self._backend.make_place()
        with self._engine.begin() as connection:
            self._backend.begin(connection, False, True)
            if not self._has_tables(connection):
                metadata.create_all(connection)
                connection.execute(schema.insert().values(version=SCHEMA_VERSION))
        self._is_there = self._is_made = True

    # Others

    def _attempt(self, call: Callable[[], T], patience: float | None = None) -> T:
        """Errors of the database are ours; what passes is tried again, and who waits long says for whom.

        What was waited for in vain is not waited for again by the calls that end a command.
        """
        begin, (pause, longest) = time.monotonic(), self._backend.pauses
        usual = 0.0 if self._has_given_up else self._backend.patience
        patience = usual if patience is None else patience
        is_silent, was_open = patience > 0, False
        while True:
            try:
                result = call()
            except (SQLAlchemyError, UnicodeError) as error:
                verdict, waited = self._judge(error, was_open), time.monotonic() - begin
                if not verdict.is_passing or waited > patience:
                    self._has_given_up |= verdict.is_passing and patience > 0
                    raise verdict.error from error
                was_open = was_open or verdict.is_open
            else:
                self._has_given_up = False
                return result
            if waited > self._backend.silent and is_silent:
                is_silent = False
                sys.stderr.write(f"{self._backend.waiting(self.leases.holders, verdict.error)}\n")
            self._sleep(pause)
            pause = min(1.5 * pause, longest)

    def _sleep(self, seconds: float) -> None:
        try:
            time.sleep(seconds)
        except BaseException:  # whoever is stopped here has waited enough
            self._has_given_up = True
            raise

    def _judge(self, error: Exception, was_open: bool) -> Verdict:
        verdict = self._backend.judge(error)
        if isinstance(verdict.error, TakenError):
            verdict.error.is_repeated = was_open
        return verdict


def _backend(address: Address) -> Backend:
    return SQLite(address) if address.is_sqlite else PostgreSQL(address)
