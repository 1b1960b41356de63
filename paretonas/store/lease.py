"""A search is written by one process at a time, which says at intervals that it is there and what it is at.

What keeps others out is a `Lock`: of the operating system for an SQLite file, a row of its own on a server. A holder
that was thought dead, as it was silent for longer than its lease, finds that out at its next write.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa

from paretonas.errors import MachineError
from paretonas.store.holder import Holder, Work
from paretonas.store.names import check_name
from paretonas.store.schema import Clock, holds

FIRST, BEAT = 1.0, 5.0
"""Seconds until a holder says for the first time what it is at, and between two times."""

Works = Callable[[], Sequence[Work]]
"""Says what is worked on; called in another thread."""


class Lock(ABC):
    """Keeps others from writing into a search.

    Attributes:
        is_lease: Whether another may take a search whose holder is silent for long.
    """

    is_lease = False

    @abstractmethod
    def take(self, name: str) -> str:
        """Hold a search.

        Returns:
            A token that no other holder has.

        Raises:
            StoreError: Another process holds it; the message says which, and since when.
            MachineError: Nothing can be locked there.
        """

    @abstractmethod
    def beat(self, name: str, token: str, work: str) -> None:
        """Say that it is held still, and what is worked on, as JSON."""

    @abstractmethod
    def release(self, name: str, token: str) -> None:
        """Hold it no longer."""

    def fence(self, connection: sa.Connection, name: str, token: str) -> None:
        """In a transaction that writes into the search: it is held still, and until the transaction ends.

        Raises:
            MachineError: Another one has it by now.
        """
        return

    def holders(self) -> str:
        """Who holds searches now, in words, as far as it is known without the database."""
        return ""


class Leases:
    """The searches of a store that this process holds. Whoever has one may take it again in the same thread.

    Args:
        lock: Keeps others out; None: nobody else can write into the store.
    """

    def __init__(self, lock: Lock | None):
        self._lock = lock
        self._held: dict[str, _Held] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Nobody else writes into this search meanwhile.

        Raises:
            StoreError: Another process, or thread, holds it; the message says which, and since when.
            MachineError: Nothing can be locked there.
        """
        if self._lock is None:
            yield
            return
        check_name(name)
        before = self._held.get(name)
        if before is not None and before.thread == threading.get_ident():
            yield
            return
        held = _Held(self._lock, name, self._lock.take(name))
        self._held[name] = held
        try:
            held.begin()
            yield
        finally:
            held.end()
            del self._held[name]
            self._lock.release(name, held.token)

    @contextmanager
    def telling(self, name: str, works: Works) -> Iterator[None]:
        """Others are told what is worked on meanwhile, if the search is held."""
        held = self._held.get(name)
        if held is None:
            yield
            return
        held.works = works
        try:
            yield
        finally:
            held.works = _nothing

    def fence(self, connection: sa.Connection, name: str) -> None:
        """What this process holds is its own still; see `Lock.fence`."""
        held = self._held.get(name)
        if held is not None and self._lock is not None:
            self._lock.fence(connection, name, held.token)

    def token(self, name: str) -> str | None:
        """What makes a lease of ours known; None: nothing is held, or in another way."""
        held = self._held.get(name)
        return None if held is None or self._lock is None or not self._lock.is_lease else held.token

    def holders(self) -> str:
        """Who holds searches now, in words."""
        return "" if self._lock is None else self._lock.holders()


class _Held:
    """A search that is held, and the thread that says so."""

    def __init__(self, lock: Lock, name: str, token: str):
        self._lock, self._name, self.token = lock, name, token
        self.thread = threading.get_ident()
        self.works: Works = _nothing
        self._ended = threading.Event()
        self._beats = threading.Thread(target=self._run, name=f"hold {name}", daemon=True)

    def begin(self) -> None:
        try:
            self._beats.start()
        except RuntimeError as error:
            what = f"Whoever holds a search says so in a thread, but none can be started: {error}"
            raise MachineError(f"{what}. Close programs, or raise the limit with `ulimit -u`, then go on.") from error

    def end(self) -> None:
        self._ended.set()
        if self._beats.is_alive():
            self._beats.join()

    def _run(self) -> None:
        pause = FIRST
        while not self._ended.wait(pause):
            works: Sequence[Work] = ()
            with suppress(Exception):  # whatever becomes of that: it is there, and that is said
                works = self.works()
            with suppress(Exception):  # the holder is told at its next write; whatever it was, it may pass
                self._lock.beat(self._name, self.token, json.dumps([one.to_json() for one in works]))
            pause = BEAT


def first_words(name: str, token: str, lasts: float) -> dict[str, Any]:
    """The row of a search that this process has begun to hold.

    Args:
        name: Of the search.
        token: Of the holder.
        lasts: Seconds of silence after which the holder may be gone.
    """
    holder = json.dumps(Holder.here().to_json())
    now = {"since": Clock(), "heard": Clock()}
    return {"search": name, "token": token, "holder": holder, "work": "[]", "lasts": lasts, **now}


def say(connection: sa.Connection, name: str, token: str, work: str) -> bool:
    """Say in the holder's row what it is at; whether there is such a row."""
    own = (holds.c.search == name) & (holds.c.token == token)
    return bool(connection.execute(holds.update().where(own).values(work=work, heard=Clock())).rowcount)


def _nothing() -> Sequence[Work]:
    return ()
