"""On a server: a lease, which is a row that its holder renews, and which ends some time after it no longer does.

All times are the server's. Whoever writes into a search that it holds reads its lease in the same transaction and keeps
others from changing it until that ends; so a holder that was thought dead, and is not, writes nothing.
"""

from __future__ import annotations

import sys
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from paretonas.errors import MachineError, ParetonasError, StoreError
from paretonas.store.backend import TakenError
from paretonas.store.holder import Holder
from paretonas.store.lease import Lock, first_words, say
from paretonas.store.schema import Clock, holds

if TYPE_CHECKING:
    from paretonas.store.database import Database

LASTS = 60.0
"""Seconds of silence after which another one may take a search: a dozen beats."""
WAITING = "40s"
"""For a holder that stands still in the middle of a write: the server ends its transaction before that."""
_ROUNDS = 3
"""So often two that take a search at once are sorted out."""


class RowLocks(Lock):
    """Leases.

    Args:
        database: Of a server.
    """

    is_lease = True

    def __init__(self, database: Database):
        self._database = database

    def take(self, name: str) -> str:
        token, before = uuid.uuid4().hex, ""

        def put(connection: sa.Connection) -> str:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAITING}'")
            row = connection.execute(_of(name).with_for_update()).first()
            words = "" if row is None or row.token == token else _check_is_over(name, row)
            own = first_words(name, token, LASTS)
            connection.execute(holds.insert().values(own) if row is None else _replace(name, own))
            return words

        for i in range(_ROUNDS):
            try:
                before = self._database.write(put)
                break
            except TakenError:  # another one began to hold it between our look and our word
                if i == _ROUNDS - 1:
                    raise
        if before:
            sys.stderr.write(f"{before}\n")
        return token

    def beat(self, name: str, token: str, work: str) -> None:
        self._database.write(lambda connection: say(connection, name, token, work), patience=0.0)

    def fence(self, connection: sa.Connection, name: str, token: str) -> None:
        own = (holds.c.search == name) & (holds.c.token == token)
        if connection.scalar(sa.select(holds.c.token).where(own).with_for_update(read=True)) is None:
            row = connection.execute(_of(name)).first()
            who = "nobody" if row is None else Holder.read(row.holder) or "another process"
            raise MachineError(
                f"A search is written by one process at a time, but this one was not heard of for longer than its "
                f"lease of {LASTS:.0f} s, and {who} holds {name!r} now. What was stored is there; `paretonas status "
                f"{name}` shows how it goes on."
            )

    def release(self, name: str, token: str) -> None:
        own = (holds.c.search == name) & (holds.c.token == token)
        with suppress(ParetonasError):  # it ends by itself
            self._database.write(lambda connection: connection.execute(holds.delete().where(own)))


def _of(name: str) -> sa.Select[Any]:
    """The row of a search's holder, for how long it has held it, and for how long it was silent."""
    ages = (Clock() - holds.c.since).label("age"), (Clock() - holds.c.heard).label("silence")
    return sa.select(holds, *ages).where(holds.c.search == name)


def _replace(name: str, row: dict[str, Any]) -> sa.Update:
    return holds.update().where(holds.c.search == name).values(row)


def _check_is_over(name: str, row: sa.Row[Any]) -> str:
    """Whether the lease of another holder has ended.

    Returns:
        What is said of that.

    Raises:
        StoreError: It has not.
    """
    holder = Holder.read(row.holder)
    who = str(holder or "another process")
    if holder is not None and holder.is_gone:
        return f"Going on in the place of {who}, which held {name!r} and has ended."
    if row.silence >= row.lasts:
        return (
            f"Going on in the place of {who}, which held {name!r} and was last heard of {row.silence:.0f} s ago: its "
            f"lease of {row.lasts:.0f} s has ended."
        )
    raise StoreError(
        f"A search is written by one process at a time, but another one holds {name!r}: {who}, for "
        f"{row.age / 60:.0f} min. If it is gone, its lease ends in {max(1.0, row.lasts - row.silence):.0f} s."
    )
