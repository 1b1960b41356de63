"""PostgreSQL, by psycopg 3: a server that many machines write to, and that may go away for a while.

A transaction that its connection, or its server, was cut off is tried again, patiently and not for ever. What has never
answered is not waited for: that is a wrong address more often than a server that starts.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, IntegrityError

from paretonas.errors import MachineError, MissingPackageError, ParetonasError, StoreError
from paretonas.store.address import Address
from paretonas.store.backend import Backend, Verdict, taken

PATIENCE, SILENT = 120.0, 2.0
"""Seconds for which a server is waited for that has answered before, and before that is said."""
LONGEST_PAUSE = 30
"""Seconds that a transaction may stand still before the server ends it: it may hold up others."""
_CONNECTION = {
    "client_encoding": "utf8",
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "application_name": "paretonas",
}
"""For libpq, where the URL says nothing else: a machine that is gone is found out in half a minute."""
_PASSING = {
    "40001", "40P01",  # two transactions in each other's way
    "53300",  # too many connections
    "57P01", "57P02", "57P03", "57P05",  # the server ends, has crashed, is starting, has ended an idle connection
    "25P03",  # stood still in a transaction
}  # fmt: skip
_REMEDIES = {
    "42501": "Who reads needs the rights USAGE of the schema and SELECT on its tables, who writes ALL on both",
    "25006": "It can only be read: name the primary server",
    "53": "Give the server what it lacks, then go on",
    "55": "Another transaction stands in the way: wait until it has ended, then go on",
    "57": "See to the server, then go on",
    "58": "See to the server's disk, then go on",
}
"""By code, or class of codes: what to do about what the server refuses."""
_MAKING = 0x706172  # any number that others do not lock
_NEVER = (
    ("password", "Mend user and password of the URL; a password may stand in PGPASSWORD or in ~/.pgpass instead"),
    ("failed to resolve host", "Mend the host of the URL"),
    ("could not translate host", "Mend the host of the URL"),
    ("no pg_hba.conf entry", "Let the server's pg_hba.conf allow it"),
    ('role "', "Mend the user of the URL, or make it: createuser"),
    ("invalid connection option", "Mend the options of the URL"),
    ("invalid integer value", "Mend the options of the URL"),
)
"""What is said where no connection comes about, none of which gets better by itself, and what to do about it.

libpq gives no code for these; where the server says them in another language, they come without the remedy.
"""


class PostgreSQL(Backend):
    """A database of a server.

    Args:
        address: Where.

    Raises:
        MissingPackageError: psycopg is absent.
    """

    def __init__(self, address: Address):
        try:
            importlib.import_module("psycopg")
        except ImportError:
            raise MissingPackageError("psycopg[binary]", "A store on a PostgreSQL server") from None
        self.address = address
        given = {**_CONNECTION, **address.url.query}
        self.engine = sa.create_engine(address.url.set(query={}), connect_args=given, use_native_hstore=False)
        self.patience, self.silent, self.pauses = PATIENCE, SILENT, (0.05, 1.0)
        self.other = f"make one of its own: {self._createdb('paretonas')}"
        self._has_answered = False
        sa.event.listen(self.engine, "connect", self._set_up, insert=True)  # before SQLAlchemy's own first questions

    @cached_property
    def reader(self) -> sa.Engine:
        """Without a transaction around the statement, which would be two ways more to the server."""
        return self.engine.execution_options(isolation_level="AUTOCOMMIT")

    def begin(self, connection: sa.Connection, is_synced: bool, is_making: bool) -> None:
        """Every commit waits for the server's disk: a crash of the server leaves its clients alive, who know of it."""
        if is_making:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MAKING})")

    def judge(self, error: Exception) -> Verdict:
        if isinstance(error, IntegrityError):
            return taken(self.address, error)
        if not isinstance(error, DBAPIError):
            return Verdict(StoreError(f"The store {self.address} failed: {error}"))
        reason, state = " ".join(str(error.orig).split()), getattr(error.orig, "sqlstate", None) or ""
        is_cut = error.connection_invalidated or state.startswith("08") or state in _PASSING
        is_unconnected = not state and not error.connection_invalidated and error.statement is None
        if is_cut or is_unconnected:
            ours = self._unreachable(reason)
            return Verdict(ours, is_cut or self._has_answered, is_open=error.connection_invalidated)
        remedy = _REMEDIES.get(state) or _REMEDIES.get(state[:2])
        if remedy is not None:
            return Verdict(MachineError(f"The store {self.address} refuses: {reason.rstrip('.')}. {remedy}."))
        return Verdict(StoreError(f"The store {self.address} failed: {reason}"))

    def _unreachable(self, reason: str) -> ParetonasError:
        what = f"The database {self.address} cannot be reached: {reason.rstrip('.?')}."
        if f'database "{self.address.url.database}" does not exist' in reason:
            return StoreError(f"{what} Make it: {self._createdb(self.address.url.database or '')}")
        for words, remedy in _NEVER:
            if words in reason:
                return StoreError(f"{what} {remedy}.")
        return MachineError(f"{what} See to the server, then go on: nothing that was stored is lost.")

    def _createdb(self, name: str) -> str:
        """The command that makes a database there."""
        url = self.address.url
        words = [("-h", url.host), ("-p", url.port), ("-U", url.username)]
        options = [f"{option} {shlex.quote(str(value))}" for option, value in words if value]
        return " ".join(["createdb", *options, shlex.quote(name)])

    def waiting(self, holders: Callable[[], str], error: ParetonasError) -> str:
        return f"{error} Trying again for {self.patience:.0f} s."

    def upsert(self, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
        return insert(table).values(row).on_conflict_do_update(index_elements=list(table.primary_key), set_=row)

    def _set_up(self, connection: Any, _: Any) -> None:
        self._has_answered = True
        connection.execute(f"SET idle_in_transaction_session_timeout = '{LONGEST_PAUSE}s'")
        connection.commit()
