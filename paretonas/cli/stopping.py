"""What Ctrl-C, SIGTERM and SIGHUP do: one sentence that says how to go on, and the exit code 128 + the signal's number.

The first signal unwinds the command, so that workers end and what is held is let go; in the middle of an import, before
a command has begun, once it has ended, and at the second signal the process ends at once, which loses nothing either.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar has hidden it."""


class Stopping:
    """What is known of signals while a command runs.

    Attributes:
        received: The first of them.
        sentence: What is said when the command is stopped now; nothing once it has ended.
        is_running: Whether a command has begun, which can be unwound.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.sentence = "Stopped before anything was done; nothing was stored."
        self.is_running = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Unwind the command, or end at once."""
        if self.received is not None or not self.is_running or _is_importing(frame):
            self.leave(number)
        self.received = number
        raise KeyboardInterrupt

    def leave(self, number: int) -> NoReturn:
        """End now, without a look back; safe in the middle of anything."""
        with suppress(OSError):
            if self.sentence:
                os.write(2, f"{self.sentence}\n".encode(errors="backslashreplace"))
            if os.isatty(1):
                os.write(1, SHOW_CURSOR)
        os._exit(128 + (self.received or number))

    def unraisable(self, error: Any) -> None:
        """An interrupt that came up where nothing can be raised counts as a second one."""
        if error.exc_type is KeyboardInterrupt:
            self.leave(signal.SIGINT)
        sys.__unraisablehook__(error)


_now = Stopping()


def watch() -> None:
    """From now on signals are ours, but for those that whoever started us wants ignored, as `nohup` does.

    For good: what runs at the end of a process would answer Ctrl-C with a traceback.
    """
    global _now
    _now = Stopping()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _now.handle)
    sys.unraisablehook = _now.unraisable


@contextmanager
def unwound() -> Iterator[None]:
    """A command runs; if a signal stops it, whatever comes of that is one sentence and an exit code."""
    _now.is_running, _now.sentence = True, "Stopped."
    try:
        yield
    except BaseException as error:
        if _now.received is None and not isinstance(error, KeyboardInterrupt):
            raise
        with suppress(OSError):  # the terminal may be gone
            sys.stderr.write(f"{_now.sentence}\n")
            sys.stderr.flush()
        raise SystemExit(128 + (_now.received or signal.SIGINT)) from None
    finally:
        _now.is_running, _now.sentence = False, ""


def say_when_stopped(sentence: str) -> None:
    """What is said if the command is stopped from now on."""
    _now.sentence = sentence


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, which an exception would leave in pieces."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
