"""One measurement at a time on a machine, whoever makes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from paretonas.device.runner.moment import lock_files
from paretonas.files import refusals

SILENT = 2.0
"""Seconds that a process waits before it says so."""


@contextmanager
def measuring_lock(machine: str) -> Iterator[None]:
    """Hold the machine for a measurement. Who waits longer than two seconds says on stderr for whom.

    The lock is one file a user, in the system's temporary folder; beside it lies a note of who holds it.

    Args:
        machine: As a transport names it.

    Raises:
        MachineError: The system refuses the file.
    """
    path, note = lock_files(machine)
    lock = FileLock(path)
    with refusals(f"A measurement holds the lock {path}, but it cannot be had"):
        _acquire(lock, note, machine)
    try:
        with suppress(OSError):  # the note serves others only
            note.write_text(_own_name(), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def _acquire(lock: FileLock, note: Path, machine: str) -> None:
    try:
        lock.acquire(timeout=SILENT)
    except Timeout:
        where = "this machine" if machine == "here" else machine
        sys.stderr.write(f"Waiting for {_holder(note)}, which is measuring on {where}.\n")
        lock.acquire()


def _own_name() -> str:
    """Number and command of this process, on one line."""
    command = " ".join(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]).split())
    return f"process {os.getpid()} ({command[:200]})"


def _holder(note: Path) -> str:
    try:
        return note.read_text(encoding="utf-8").strip() or "another process"
    except (OSError, ValueError):
        return "another process"
