"""Standard output and standard error, whatever whoever started us has made of them."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO


def open_streams() -> None:
    """Every stream is there and takes any text: closed ones lead nowhere, and what an encoding lacks is an escape."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free, so that no file of ours does
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name) or os.fdopen(number, "w", encoding="utf-8", closefd=False)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def flush_streams() -> None:
    """Write out what is left; a stream that takes nothing any more leads nowhere from now on.

    Raises:
        OSError: Standard output takes nothing, and somebody reads it.
    """
    refused: OSError | None = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            refused = refused or error
    if refused is not None:
        raise refused


@contextmanager
def reserved_stdout() -> Iterator[TextIO]:
    """Yields standard output; what anybody else writes there meanwhile goes to standard error.

    That is anybody in this process, at whatever level, and in processes that it starts.
    """
    before, saved = sys.stdout, os.dup(1)
    before.flush()
    try:
        own: TextIO = os.fdopen(os.dup(before.fileno()), "w", encoding=before.encoding, errors="backslashreplace")
    except io.UnsupportedOperation:  # no file of the system is behind it
        own = before
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield own
    finally:
        sys.stdout = before
        before.flush()
        with suppress(OSError, TypeError, AttributeError):  # not on every system
            ctypes.CDLL(None).fflush(None)  # what C has not written yet
        if own is not before:
            own.close()
        os.dup2(saved, 1)
        os.close(saved)
