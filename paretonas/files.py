"""Files are written aside, synced and renamed: under its final name a file is whole, or it is not there.

What is written aside bears the number of the process that writes it, so that what a kill leaves behind is known and
swept. What the system refuses is one sentence, with what to do about it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from paretonas.errors import MachineError

_REMEDIES = {
    errno.ENOSPC: "Free some space",
    errno.EDQUOT: "Free some of your quota",
    errno.EROFS: "Choose a place that can be written to",
    errno.EACCES: "Choose a place that you may write to",
    errno.EPERM: "Choose a place that you may write to",
    errno.EMFILE: "Close files, or raise the limit with `ulimit -n`",
    errno.ENFILE: "Close programs: the whole system has too many files open",
    errno.EFBIG: "Raise the limit on the size of a file with `ulimit -f`, or choose a disk that takes larger ones",
    errno.EIO: "Look after the disk",
}
MACHINE_FAULTS = frozenset(_REMEDIES) - {errno.EACCES, errno.EPERM}
"""Error numbers that are the machine's fault wherever they come up, and never that of what is worked on."""
_TEXTS = tuple(os.strerror(number) for number in sorted(MACHINE_FAULTS - {errno.EIO}))
_LEFT = re.compile(r"\.(?P<host>[^./]+)\.(?P<pid>\d+)\.part$")


@dataclass(frozen=True)
class Folder:
    """A folder whose contents a job reads; workers of another machine are brought them. See `Executor`.

    Args:
        path: Of the folder, whose files are not written to any more.
    """

    path: Path


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Whatever the system refuses meanwhile is an error that says what it was about and what to do.

    Args:
        what: Cannot be done; begins the sentence.

    Raises:
        MachineError: The system refuses.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(refusal(what, error)) from error


def is_refusal(error: BaseException) -> bool:
    """Whether an error is the machine's fault, or comes of one that is; libraries keep no more of one than its text."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        is_said = any(text in str(cause) for text in _TEXTS)
        if isinstance(cause, MachineError) or (isinstance(cause, OSError) and cause.errno in MACHINE_FAULTS) or is_said:
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def refusal(what: str, error: OSError) -> str:
    """The sentence for an error of the system."""
    remedy = _REMEDIES.get(error.errno or 0, "")
    return f"{what}: {error.strerror or error}." + (f" {remedy}, then go on." if remedy else "")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; what is there in the end replaces `path`, unless an error came up.

    It is synced, has the mode that the umask gives, and is renamed; then the folder is synced.

    Raises:
        MachineError: The system refuses.
    """
    if path.is_dir():
        raise MachineError(f"{path} cannot be written: it is a folder. Give the file a name.")
    if path.exists() and not path.is_file():  # a device, say, which a rename would replace
        raise MachineError(f"{path} cannot be written: it is no regular file. Give a file's name.")
    draft = path.with_name(path.name + _mark())
    try:
        with refusals(f"{path} cannot be written"):
            yield draft
            draft.chmod(0o666 & ~_umask())
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8; see `written_aside`."""
    with written_aside(path) as draft:
        draft.write_text(text, encoding="utf-8")


@contextmanager
def scratch_folder(within: Path) -> Iterator[Path]:
    """A folder for files that are needed for a moment; it goes with its contents.

    Args:
        within: A folder on a disk with space; made if it is missing.

    Raises:
        MachineError: The system refuses.
    """
    with refusals(f"{within} takes no files"):
        within.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(suffix=_mark(), prefix="scratch-", dir=within))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def rename_folder(draft: Path, folder: Path) -> None:
    """Give a finished folder of files its final name: they are synced, it is renamed, then the folder around it synced.

    Raises:
        OSError: The system refuses, or a folder of that name has files in it.
    """
    for path in (*draft.iterdir(), draft):
        _sync(path)
    draft.replace(folder)
    _sync(folder.parent)


def open_regular(path: Path) -> BinaryIO:
    """A file to read from, whose end is known: a pipe would block for ever, and a device has no end.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    raise ValueError("it is no regular file")


def sweep(folder: Path) -> int:
    """Remove what processes of this machine that are gone have left half-written below a folder; how much it was."""
    swept = 0
    for path in list(folder.rglob("*.part")):
        left = _LEFT.search(path.name)
        if left and left["host"] == _host() and not is_alive(int(left["pid"])):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            swept += 1
    return swept


def _mark() -> str:
    return f".{_host()}.{os.getpid()}.part"


def _host() -> str:
    return re.sub(r"[^\w-]", "_", socket.gethostname())


def is_alive(pid: int) -> bool:
    """Whether a process of that number is there; also where that cannot be told."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's, or no number of a process
        return True
    return True


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """To the disk; a folder cannot be opened on every system."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        if path.is_dir() and os.name != "posix":
            return
        raise
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
