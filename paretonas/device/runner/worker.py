"""The process that runs engines, and the one that looks after it: an engine that crashes or hangs costs one answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from paretonas.device.runner.host import APP, Host, refused
from paretonas.device.runner.wire import Message, WireError, read_message, write_message


def work(folder: Path) -> int:
    """Answer what is asked on the standard input until there is nothing more to read; 0.

    What engines print goes to the standard error, so that it stands in no message's way.
    """
    answers = _own_output()
    host = Host(folder)
    while True:
        try:
            message = read_message(sys.stdin.buffer)
        except WireError:
            return 0
        write_message(answers, host.answer(message))


def serve(command: Sequence[str], limit: float) -> int:
    """Likewise, through a worker; the first answer is a greeting.

    Once there is nothing more to read nobody waits for an answer, so that this ends at once, whatever the worker is at.

    Args:
        command: Starts a worker.
        limit: Seconds that one answer may take.
    """
    answers, worker = _own_output(), Worker(command, limit)
    asked: SimpleQueue[Message | None] = SimpleQueue()
    threading.Thread(target=_hand_on, args=(asked, worker), daemon=True).start()
    try:
        write_message(answers, Message({"protocol": 1}))
        while (message := asked.get()) is not None:
            write_message(answers, worker.ask(message))
    except OSError:  # the other side is gone
        pass
    finally:
        worker.close()
    return 0


def _hand_on(asked: SimpleQueue[Message | None], worker: Worker) -> None:
    """Read what is asked to the end, and end the worker then."""
    stream = os.fdopen(os.dup(0), "rb")  # not `sys.stdin`, which cannot be closed at exit while a thread reads it
    with suppress(WireError, OSError):
        while True:
            asked.put(read_message(stream))
    asked.put(None)
    worker.end()


def _own_output() -> IO[bytes]:
    """The standard output for messages alone: who else prints there writes to the standard error."""
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return own


class Worker:
    """Asks a process that it starts, and starts again when it is gone. For one thread at a time, but for `end`.

    Args:
        command: Starts a process that answers messages on its pipes.
        limit: Seconds that one answer may take.
    """

    def __init__(self, command: Sequence[str], limit: float):
        self._command, self._limit = tuple(command), limit
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False

    def ask(self, message: Message) -> Message:
        """What it answers; an error if it crashes at it or takes too long."""
        if message.head.get("ask") == APP:
            self.close()
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process, is_late = self._process, threading.Event()
        if self._is_over:
            process.kill()

        def end() -> None:
            is_late.set()
            process.kill()

        timer = threading.Timer(self._limit, end)
        timer.start()
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: PT018
            write_message(process.stdin, message)
            return read_message(process.stdout)
        except (OSError, ValueError, WireError):
            self.close()
            if is_late.is_set():
                return refused("MeasureError", f"There was no answer within {self._limit:g} s.")
            return refused("MeasureError", f"The engine crashed ({_cause(process.returncode)}).")
        finally:
            timer.cancel()

    def end(self) -> None:
        """End the process at once, whatever it is at; no other one answers. Another thread may ask so."""
        self._is_over = True
        if (process := self._process) is not None:
            process.kill()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent cannot be any more
                if stream is not None:
                    stream.close()
        try:
            process.wait(0.5)  # it ends by itself, or has crashed
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
