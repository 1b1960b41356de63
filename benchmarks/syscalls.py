"""System calls of a command, traced by strace, and made to fail or to kill it.

What is written aside has to be on the disk before it is renamed, and the rename too; `rule_breaks` reads that from a
trace.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

WRITES = ("write", "pwrite64", "ftruncate")
SYNCS = ("fsync", "fdatasync")
RENAMES = ("rename", "renameat", "renameat2")
REMOVALS = ("unlink", "unlinkat", "rmdir")
NAMES = (*WRITES, *SYNCS, *RENAMES, *REMOVALS, "mkdir")
KILL, FULL, STAYS_FULL, BROKEN = "KILL", "ENOSPC", "ENOSPC+", "EIO"
FAULTS = {
    KILL: NAMES,
    STAYS_FULL: ("pwrite64",),  # of the database; a message needs a `write`
    FULL: (*WRITES, *SYNCS, *RENAMES, "mkdir"),
    BROKEN: (*WRITES, *SYNCS, *RENAMES, *REMOVALS),
}
"""What may go wrong, and of which calls."""
IN_PLACE = (".db", ".db-journal", ".db-wal", ".db-shm", ".lock", ".holder", ".progress")
"""Suffixes of files that are written under their own names: of the database and of what nobody reads later."""
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
_LINE = re.compile(r"(?:(?P<thread>\d+) +)?(?P<name>\w+)\((?P<rest>.*)")
_PATH = re.compile(
    r'(?:AT_FDCWD|\d+)<(?P<base>/[^>]*)>(?:\(deleted\))?(?:, "(?P<name>[^"]+)"(?!\.))?|"(?P<alone>/[^"]*)"(?!\.)'
)
_FAILED = re.compile(r"\) += -1 ")


@dataclass(frozen=True)
class Call:
    """A system call that was made.

    Args:
        thread: That made it; 0 where only one was traced.
        name: Of the call.
        nth: So many of that name the thread has made with it, from 1.
        paths: Of the files that it is about.
        is_done: Whether it did not fail.
    """

    thread: int
    name: str
    nth: int
    paths: tuple[str, ...]
    is_done: bool = True


@dataclass(frozen=True)
class Fault:
    """What is made to go wrong.

    Args:
        kind: KILL before the call, or the name of the error that it gives; with a plus, all later ones give it too.
        name: Of the call.
        nth: Of a thread's calls of that name, from 1.
        is_of_first: Whether it is the thread that the command began with, and happens once; else it happens in each
            thread and process that makes so many calls.
    """

    kind: str
    name: str
    nth: int
    is_of_first: bool = True

    @property
    def option(self) -> str:
        """As strace is told."""
        kind, lasting = self.kind.removesuffix("+"), "+" if self.kind.endswith("+") else ""
        return f"inject={self.name}:{'signal' if kind == KILL else 'error'}={kind}:when={self.nth}{lasting}"


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Args:
        code: Of its exit; negative: the signal that killed it.
        said: On both outputs.
        seconds: That it took.
        calls: That were traced.
        is_hit: Whether a fault happened: it may have ended before, or have made fewer calls.
    """

    code: int
    said: str
    seconds: float
    calls: tuple[Call, ...] = ()
    is_hit: bool = False


def run(words: Sequence[str], limit: float = 300.0) -> Ran:
    """Run a command to its end; one over its time limit is killed, with all that it started."""
    begin = time.monotonic()
    process = subprocess.Popen(
        words,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        said += f"\nended after {limit:g} s".encode()
    return Ran(process.returncode, said.decode(errors="replace"), time.monotonic() - begin)


def trace(words: Sequence[str], log: Path, fault: Fault | None = None) -> Ran:
    """Run a command, trace its calls into `log`, the first being its own start, and let `fault` happen."""
    options = ["-y", "-s", "0", "-o", str(log), "-e", f"trace=execve,{','.join(f'?{n}' for n in NAMES)}"]
    follow = [] if fault is not None and fault.is_of_first else ["-f"]
    ran = run(["strace", *follow, *options, *(["-e", fault.option] if fault else []), *words])
    lines = log.read_text(errors="replace").splitlines()
    is_hit = ran.code == -signal.SIGKILL or any(line.endswith("(INJECTED)") for line in lines)
    return replace(ran, calls=read_calls(lines), is_hit=is_hit)


def read_calls(lines: Iterable[str]) -> tuple[Call, ...]:
    """The calls of a trace in the order in which they began."""
    calls, counts = list[Call](), Counter[tuple[str, str]]()
    for line in lines:
        found = _LINE.match(line)
        if found is None:
            continue  # a signal, an end, or the second half of a call
        thread, name, rest = found.groups()
        counts[thread, name] += 1
        paths = tuple(_path(one) for one in _PATH.finditer(rest))
        calls.append(Call(int(thread or 0), name, counts[thread, name], paths, not _FAILED.search(rest)))
    return tuple(calls)


def _path(found: re.Match[str]) -> str:
    return found["alone"] or str(Path(found["base"], found["name"] or ""))


def within(calls: Iterable[Call], folder: Path) -> list[Call]:
    """Calls about files in a folder, or about itself."""
    return [call for call in calls if any(Path(path).is_relative_to(folder) for path in call.paths)]


def rule_breaks(calls: Sequence[Call], folder: Path) -> list[str]:
    """Where a file in a folder got its final name before it was on the disk, or the name never got there.

    What is renamed was synced after it was last written, all files in it if it is a folder; the folder that has the new
    name is synced before the same thread renames or ends; and nothing else is written under its own name.
    """
    broken, inside = list[str](), within(calls, folder)
    aside = tuple(f"{call.paths[0]}/" for call in inside if call.name in RENAMES and call.is_done)
    for i, call in enumerate(inside):
        if call.name in RENAMES and call.is_done:
            source, target = call.paths
            broken += _unsynced(inside[:i], source)
            if not _is_synced_after(inside[i + 1 :], call.thread, str(Path(target).parent)):
                broken.append(f"the folder of {target} is not synced after the rename")
        elif call.name in WRITES and not any(_may_be_written(path, aside) for path in call.paths):
            broken.append(f"{call.paths[0]} is written under its own name")
    return list(dict.fromkeys(broken))


def _may_be_written(path: str, aside: tuple[str, ...]) -> bool:
    return ".part" in path or path.endswith(IN_PLACE) or path.startswith(aside)


def _unsynced(before: Sequence[Call], source: str) -> list[str]:
    """Files of what is renamed that were written after they were last synced."""
    is_synced = dict[str, bool]()
    for call in before:
        for path in call.paths:
            if path == source or path.startswith(f"{source}/"):
                if call.name in WRITES:
                    is_synced[path] = False
                elif call.name in SYNCS and call.is_done:
                    is_synced[path] = True
                elif call.name in REMOVALS and call.is_done:
                    is_synced.pop(path, None)
    return [f"{path} is renamed before it is synced" for path, synced in is_synced.items() if not synced]


def _is_synced_after(after: Iterable[Call], thread: int, folder: str) -> bool:
    for call in after:
        if call.thread == thread and call.name in SYNCS and folder in call.paths:
            return True
        if call.thread == thread and call.name in RENAMES and call.is_done:
            return False
    return False
