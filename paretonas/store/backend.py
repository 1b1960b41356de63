"""What each kind of database does in a way of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from paretonas.errors import ParetonasError, StoreError
from paretonas.store.address import Address


class TakenError(StoreError):
    """A row has a key that another one has.

    Attributes:
        is_repeated: Whether the transaction was tried before and its end is not known: the row may be its own.
    """

    is_repeated = False


@dataclass(frozen=True)
class Verdict:
    """What an error of a database comes to.

    Args:
        error: Ours.
        is_passing: Whether the same transaction, tried again, may go well.
        is_open: Whether the transaction may have been committed all the same.
    """

    error: ParetonasError
    is_passing: bool = False
    is_open: bool = False


class Backend(ABC):
    """A kind of database.

    Attributes:
        address: Where it lies.
        engine: Opens connections.
        patience: Seconds for which a transaction is tried again.
        silent: Seconds after which that is said.
        pauses: Seconds between two tries: at first, and at most.
        other: What to name instead of a database that is another program's.
    """

    address: Address
    engine: sa.Engine
    patience: float
    silent: float
    pauses: tuple[float, float]
    other: str

    def is_there(self) -> bool:
        """Whether there is a database, with or without our tables."""
        return True

    @property
    def reader(self) -> sa.Engine:
        """For a single statement that reads."""
        return self.engine

    def make_place(self) -> None:
        """Make what tables are put into."""
        return

    @abstractmethod
    def begin(self, connection: sa.Connection, is_synced: bool, is_making: bool) -> None:
        """A transaction that writes begins.

        Args:
            connection: Of the transaction.
            is_synced: Whether its commit waits for the disk, where not all do.
            is_making: Whether it is to make the tables; nobody else does so meanwhile.
        """

    @abstractmethod
    def judge(self, error: Exception) -> Verdict:
        """What an error comes to."""

    @abstractmethod
    def waiting(self, holders: Callable[[], str], error: ParetonasError) -> str:
        """What is said while a transaction is tried again.

        Args:
            holders: Says who writes into the store.
            error: What it came to.
        """

    @abstractmethod
    def upsert(self, table: sa.Table, row: dict[str, Any]) -> sa.Executable:
        """A statement that puts a row in the place of the one with its primary key, or beside the others."""


def taken(address: Address, error: IntegrityError) -> Verdict:
    """That a key is taken."""
    return Verdict(TakenError(f"The rows of a store have keys of their own, but of {address}: {error.orig}"))
