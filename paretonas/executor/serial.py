"""Jobs run one after the other in this process: for debugging, and where work must not be spread."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from paretonas.errors import UsageError
from paretonas.executor.executor import Executor, Job, Outcome, attempt

T = TypeVar("T")


@dataclass(frozen=True)
class SerialOptions:
    """One job at a time in this process; time limits are not held."""

    def count(self) -> int:
        """One."""
        return 1

    def start(self) -> SerialExecutor:
        """The executor."""
        return SerialExecutor()


class SerialExecutor(Executor):
    """Runs one job in each call of `wait`.

    Nothing stands between a job and this process: its time limit is not held, and a crash is a crash of the search.
    Ctrl-C passes through `wait`; the job that it interrupted is run again by the next.
    """

    def __init__(self) -> None:
        self.workers = 1
        self._queue: deque[tuple[Job[Any], Callable[..., Any], tuple[Any, ...]]] = deque()
        self._done: list[Job[Any]] = []
        self._is_closed = False

    def submit(self, key: str, function: Callable[..., T], *args: Any, timeout: float | None = None) -> Job[T]:
        """Queue `function(*args)`; `timeout` has no effect."""
        if self._is_closed:
            raise UsageError(f"An executor takes jobs until it is closed, but job {key!r} came later.")
        job: Job[T] = Job(key)
        self._queue.append((job, function, args))
        return job

    def wait(self, timeout: float | None = None) -> list[Job[Any]]:
        """Run the next job to its end, however long that takes, and return it."""
        if self._queue:
            job, function, args = self._queue[0]
            job.begin(socket.gethostname())
            job.finish(attempt(function, *args))
            self._queue.popleft()
            self._done.append(job)
        done, self._done = self._done, []
        return done

    @property
    def idle(self) -> int:
        """1 if nothing is queued."""
        return 0 if self._queue else 1

    def close(self) -> None:
        """Fail what is queued."""
        self._is_closed = True
        for job, _, _ in self._queue:
            job.finish(Outcome.failed("The executor was closed before the job began."))
            self._done.append(job)
        self._queue.clear()
