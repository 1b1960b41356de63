"""Of an SQLite file: a lock of the operating system, and the note beside it that says who has it."""

from __future__ import annotations

import errno
import json
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from filelock import FileLock, Timeout

from paretonas.errors import MachineError, ParetonasError, StoreError
from paretonas.files import refusal
from paretonas.store.holder import Holder
from paretonas.store.lease import Lock, first_words, say
from paretonas.store.schema import holds

if TYPE_CHECKING:
    from paretonas.store.database import Database

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_ATTENTION = 15.0
"""Seconds of silence after which whoever watches is told that the holder may be gone."""


class FileLocks(Lock):
    """Locks go with their process, however that ends; the files stay.

    Args:
        folder: Where they lie.
        database: Has a row beside the lock, for whoever watches.
    """

    def __init__(self, folder: Path, database: Database):
        self._folder, self._database = folder, database
        self._locks: dict[str, FileLock] = {}
        self._said: set[str] = set()

    def take(self, name: str) -> str:
        lock = self._locks.setdefault(name, FileLock(self._folder / f"{name}.lock", fallback_to_soft=False))
        self._acquire(lock, name)
        _write_note(self._note(name))
        return uuid.uuid4().hex

    def _acquire(self, lock: FileLock, name: str) -> None:
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            by = _read_note(self._note(name))
            raise StoreError(
                f"A search is written by one process at a time, but another one holds {name!r}{by}."
            ) from None
        except OSError as error:
            said = refusal(f"Whoever writes into a search locks a file, but {lock.lock_file} cannot be locked", error)
            where = " A local disk has locks; some network file systems have none." if error.errno in _NO_LOCKS else ""
            raise MachineError(said + where) from error

    def beat(self, name: str, token: str, work: str) -> None:
        def put(connection: sa.Connection) -> None:
            if not say(connection, name, token, work):
                row = first_words(name, token, _ATTENTION) | {"work": work}
                connection.execute(self._database.upsert(holds, row))

        if self._database.is_there:
            self._database.write(put, patience=0.0)
            self._said.add(name)

    def release(self, name: str, token: str) -> None:
        if name in self._said:
            self._said.remove(name)
            with suppress(ParetonasError):
                self._database.write(lambda c: c.execute(holds.delete().where(holds.c.token == token)))
        with suppress(OSError):
            self._note(name).unlink()
        self._locks[name].release()

    def holders(self) -> str:
        notes = sorted(self._folder.glob("*.holder"))
        return "; ".join(words for note in notes if _is_locked(note) and (words := _read_note(note).removeprefix(": ")))

    def _note(self, name: str) -> Path:
        return self._folder / f"{name}.holder"


def _write_note(note: Path) -> None:
    """Others read it; without it they are refused too, but not told by whom. What a killed holder left goes first."""
    words = {**Holder.here().to_json(), "since": time.time()}
    with suppress(OSError):
        note.unlink(missing_ok=True)
        note.write_text(json.dumps(words), encoding="utf-8")


def _is_locked(note: Path) -> bool:
    """Whether the holder of a note is still there."""
    try:
        with FileLock(note.with_suffix(".lock"), blocking=False, fallback_to_soft=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _read_note(note: Path) -> str:
    """Who holds a lock, in words; nothing where that was not written down."""
    try:
        text = note.read_text(encoding="utf-8")
        minutes = max(0.0, time.time() - float(json.loads(text)["since"])) / 60
        holder = Holder.read(text)
        return "" if holder is None else f": {holder}, for {minutes:.0f} min"
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return ""
