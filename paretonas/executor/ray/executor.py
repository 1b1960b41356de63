"""The search's side of the executor `ray`: what is queued, sent and waited for."""

from __future__ import annotations

import pickle
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import inf
from multiprocessing import connection
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING, Any, TypeVar

from paretonas.errors import MachineError, ParetonasError, UsageError
from paretonas.executor.executor import Executor, Failure, Job, Outcome
from paretonas.executor.ray.messages import Begun, Ended, Task
from paretonas.executor.ray.sending import pickled
from paretonas.executor.ray.steward import Steward
from paretonas.executor.sending import unpack

if TYPE_CHECKING:
    from paretonas.executor.ray.options import RayOptions

T = TypeVar("T")

LONGEST_OUTAGE = 300.0
"""Seconds that a cluster which was lost is waited for."""
BETWEEN = 5.0
"""Seconds between two looks whether it is there again."""


class RayExecutor(Executor):
    """Sends jobs to a cluster, as many at once as it has workers.

    A job whose worker or node is lost is begun again elsewhere, a bounded number of times; so are all that run when the
    whole cluster is lost and is there again some minutes later. What a job has written in its files it goes on from.
    """

    def __init__(self, options: RayOptions):
        self._options = options
        self._queue: deque[tuple[Job[Any], Task]] = deque()
        self._running: dict[int, tuple[Job[Any], Task]] = {}
        self._done: list[Job[Any]] = []
        self._number = 0
        steward = Steward(options)
        self.workers, self.is_here = steward.workers, steward.is_here
        self._stewards = [steward]  # one, or none while the cluster is lost
        self._shut = Finalize(self, _dismiss, args=(self._stewards,), exitpriority=10)

    def submit(self, key: str, function: Callable[..., T], *args: Any, timeout: float | None = None) -> Job[T]:
        """Run `function(*args)` on a node that has room; see `Executor.submit`."""
        if not self._shut.still_active():
            raise UsageError(f"An executor takes jobs until it is closed, but job {key!r} came later.")
        job: Job[T] = Job(key)
        try:
            payload, has_paths = pickled(function, args)
        except Exception as error:
            rule = "A job's function is found by name in a module and its arguments can be pickled"
            self._finish(job, Outcome.failed(f"{rule}, but: {error}.", traceback.format_exc()))
        else:
            self._number += 1
            self._queue.append((job, Task(self._number, payload, has_paths, timeout)))
            self._dispatch()
        return job

    def wait(self, timeout: float | None = None) -> list[Job[Any]]:
        """Block until a job is done; see `Executor.wait`. A cluster that was lost is waited for."""
        until = inf if timeout is None else time.monotonic() + timeout
        while True:
            self._collect(-inf if self._done else until)
            self._dispatch()
            if self._done or not self._running or time.monotonic() >= until:
                break
        done, self._done = self._done, []
        return done

    @property
    def idle(self) -> int:
        """How many further jobs would start at once."""
        return max(0, self.workers - len(self._running) - len(self._queue))

    def close(self) -> None:
        """End what runs, and leave the cluster; one of one's own ends."""
        unfinished = [*self._running.values(), *self._queue]
        self._shut()
        self._running.clear()
        self._queue.clear()
        for job, _ in unfinished:
            self._finish(job, Outcome.failed("The executor was closed before the job was done."))

    def _finish(self, job: Job[Any], outcome: Outcome) -> None:
        job.finish(outcome)
        self._done.append(job)

    def _dispatch(self) -> None:
        """Send queued jobs as long as workers are free."""
        while self._queue and self._stewards and len(self._running) < self.workers:
            job, task = self._queue.popleft()
            self._running[task.number] = job, task
            self._stewards[0].send(task)

    def _collect(self, until: float) -> None:
        """Take note of what has ended, once anything has, it is `until`, or a day has passed."""
        if not self._stewards and (self._running or self._queue):
            self._seek()
            return
        if not self._running:
            return
        steward = self._stewards[0]
        seconds = min(max(0.0, until - time.monotonic()), 86400.0)
        if not connection.wait([steward.pipe], seconds):
            return
        try:
            while self._running and steward.pipe.poll():
                news: Begun | Ended = pickle.loads(steward.pipe.recv_bytes())
                if isinstance(news, Begun):
                    self._running[news.number][0].begin(news.node)
                    continue
                job, _ = self._running.pop(news.number)
                self._finish(job, replace(unpack(news.outcome), attempts=news.attempts))
        except (EOFError, OSError):
            _dismiss(self._stewards)

    def _seek(self) -> None:
        """Look for the cluster until it answers, and begin anew what ran when it was lost.

        What was lost too often has failed; where the cluster stays away, that is the machine's fault.
        """
        for number, (job, task) in list(self._running.items()):
            if task.attempts > self._options.retries:
                del self._running[number]
                what = f"The cluster was lost {task.attempts} times while the job ran."
                self._finish(job, Outcome.crashed(what, 0.0, task.attempts))
        begin, error = time.monotonic(), None
        while not self._stewards and (self._running or self._queue):
            try:
                self._stewards.append(Steward(self._options))
            except ParetonasError as refused:
                error = refused
                if time.monotonic() - begin >= LONGEST_OUTAGE:
                    break
                time.sleep(BETWEEN)
        for number, (job, task) in list(self._running.items()):
            if self._stewards:
                again = replace(task, attempts=task.attempts + 1)
                self._running[number] = job, again
                self._stewards[0].send(again)
        if not self._stewards:
            lost = f"The cluster was lost and was not there again within {LONGEST_OUTAGE:g} s"
            refusal = Failure.of(MachineError(f"{lost}: {error} Bring it back, then go on."))
            for job, _ in (*self._running.values(), *self._queue):
                self._finish(job, Outcome(failure=refusal))
            self._running.clear()
            self._queue.clear()


def _dismiss(stewards: list[Steward]) -> None:
    while stewards:
        with suppress(OSError):
            stewards.pop().dismiss()
