"""A search is written by one process at a time: the lock, and the note beside it that says who has it."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from paretonas.errors import MachineError, StoreError
from paretonas.files import refusal
from paretonas.store.names import check_name

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Leases:
    """The locks of a store's searches. Whoever has one may take it again in the same thread.

    The lock is the operating system's on an open file and goes with its process, however that ends; the file stays.

    Args:
        folder: Where they lie; None: nobody else can write into the store.
    """

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._locks: dict[str, FileLock] = {}

    @contextmanager
    def hold(self, name: str) -> Iterator[None]:
        """Nobody else writes into this search meanwhile.

        Raises:
            StoreError: Another process holds it; the message says which, and since when.
            MachineError: Nothing can be locked there.
        """
        if self._folder is None:
            yield
            return
        check_name(name)
        path = self._folder / f"{name}.lock"
        lock = self._locks.setdefault(name, FileLock(path, fallback_to_soft=False))
        is_held, note = lock.is_locked, path.with_suffix(".holder")
        self._acquire(lock, name, note)
        try:
            if not is_held:
                _write_note(note)
            yield
        finally:
            if not is_held:
                with suppress(OSError):
                    note.unlink()
            lock.release()

    def _acquire(self, lock: FileLock, name: str, note: Path) -> None:
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            by = _read_note(note)
            raise StoreError(
                f"A search is written by one process at a time, but another one holds {name!r}{by}."
            ) from None
        except OSError as error:
            said = refusal(f"Whoever writes into a search locks a file, but {lock.lock_file} cannot be locked", error)
            where = " A local disk has locks; some network file systems have none." if error.errno in _NO_LOCKS else ""
            raise MachineError(said + where) from error

    def holders(self) -> str:
        """Who holds searches now, in words, as far as their notes tell."""
        notes = [] if self._folder is None else sorted(self._folder.glob("*.holder"))
        return "; ".join(words for note in notes if _is_locked(note) and (words := _read_note(note).removeprefix(": ")))


def _write_note(note: Path) -> None:
    """Others read it; without it they are refused too, but not told by whom. What a killed holder left goes first."""
    words = {"pid": os.getpid(), "machine": socket.gethostname(), "command": _command(), "since": time.time()}
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


def _command() -> str:
    """Of this process, as somebody would write it."""
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _read_note(note: Path) -> str:
    """Who holds a lock, in words; nothing where that was not written down."""
    try:
        data = json.loads(note.read_text(encoding="utf-8"))
        minutes = max(0.0, time.time() - float(data["since"])) / 60
        return f": process {int(data['pid'])} ({data['command']:.200}) on {data['machine']:.80}, for {minutes:.0f} min"
    except (OSError, ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return ""
