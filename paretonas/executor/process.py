"""Jobs run in a pool of pinned processes on this machine (Linux, macOS), any of which may die without harm to the rest.

Not `concurrent.futures`: there a worker that dies breaks the whole pool, and a running job cannot be stopped. Here each
worker has a pipe of its own, whose end tells of its death; the parent waits on all pipes up to the nearest deadline.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from multiprocessing import connection
from multiprocessing.util import Finalize
from typing import Any, TypeVar

from paretonas.errors import MachineError, UsageError
from paretonas.executor.executor import Executor, Failure, Job, Outcome, attempt
from paretonas.executor.sending import call, limit_memory, pack, unpack
from paretonas.executor.spawning import SPAWN, THREAD_VARIABLES, environment, interrupts_blocked, usable_cores

T = TypeVar("T")

_MALLOC_VARIABLES = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""Glibc keeps freed memory instead of mapping it anew for every activation: 10 to 20 % more images a second."""
LONGEST_LEAVING = 2.0
"""Seconds that an idle worker has to leave."""
LONGEST_WAIT = 86400.0
"""In seconds; more than 24 days are more than the system takes."""
_HINTS = {
    -getattr(
        signal, "SIGKILL", 9
    ): " If nobody killed it, the machine ran out of memory: use fewer workers or smaller batches.",
    1: " A script that starts workers needs `if __name__ == '__main__':` around its own work.",
}


@dataclass(frozen=True)
class ProcessOptions:
    """Worker processes on this machine, each pinned to cores of its own where they take all of them.

    Args:
        workers: How many; None: as many as the usable cores allow.
        threads: Cores, and threads of numerical libraries, per worker.
        pin: Whether workers are pinned. None: where they take all cores; else two searches would pin the same ones, and
            leave others idle.
        memory_gb: Memory in GiB that each worker may allocate before its job fails; None: no limit. Held by Linux only.

    Raises:
        UsageError: A number that is not positive, or larger than of any machine.
    """

    workers: int | None = None
    threads: int = 1
    pin: bool | None = None
    memory_gb: float | None = None

    def __post_init__(self) -> None:
        for name, most in (("workers", 1024), ("threads", 1024), ("memory_gb", 1e6)):
            value = getattr(self, name)
            if value is not None and not 0 < value <= most:
                raise UsageError(f"`0 < {name} <= {most:g}` must hold, but got {name}={value}.")

    def count(self) -> int:
        """As many as were asked for, or as the usable cores allow."""
        return self.workers or max(1, len(usable_cores()) // self.threads)

    @property
    def is_pinned(self) -> bool:
        """Whether workers are."""
        return self.count() * self.threads >= len(usable_cores()) if self.pin is None else self.pin

    def start(self) -> ProcessExecutor:
        """The executor; its workers start when they are first needed."""
        return ProcessExecutor(self)


class ProcessExecutor(Executor):
    """Runs each job in one of its worker processes, which are kept warm and replaced when they die.

    A job over its time limit is killed together with the processes that it started. No worker outlives this process.
    """

    def __init__(self, options: ProcessOptions):
        self.workers = options.count()
        self._options = options
        self._cores = usable_cores()
        self._pool: dict[int, _Worker] = {}
        self._queue: deque[_Task] = deque()
        self._done: list[Job[Any]] = []
        # Before its exit handlers join the workers, multiprocessing runs finalizers that have a priority.
        self._shut = Finalize(self, _kill_all, args=(self._pool,), exitpriority=10)

    def submit(self, key: str, function: Callable[..., T], *args: Any, timeout: float | None = None) -> Job[T]:
        """Run `function(*args)` in the next free worker; see `Executor.submit`."""
        if not self._shut.still_active():
            raise UsageError(f"An executor takes jobs until it is closed, but job {key!r} came later.")
        job: Job[T] = Job(key)
        try:
            payload = pickle.dumps((function, args))
        except Exception as error:
            rule = "A job's function is found by name in a module and its arguments can be pickled"
            self._finish(job, Outcome.failed(f"{rule}, but: {error}.", traceback.format_exc()))
        else:
            self._queue.append(_Task(job, payload, inf if timeout is None else timeout))
            self._dispatch()
        return job

    def wait(self, timeout: float | None = None) -> list[Job[Any]]:
        """Block until a job is done; see `Executor.wait`."""
        until = inf if timeout is None else time.monotonic() + timeout
        while True:
            busy = [worker for worker in self._pool.values() if worker.task]
            _wait_for_news(busy, until=-inf if self._done else until)
            for worker in busy:
                self._settle(worker)
            self._dispatch()
            if self._done or not busy or time.monotonic() >= until:
                break
        done, self._done = self._done, []
        return done

    @property
    def idle(self) -> int:
        """How many further jobs would start at once."""
        busy = sum(worker.task is not None for worker in self._pool.values())
        return max(0, self.workers - busy - len(self._queue))

    def close(self) -> None:
        """Kill all workers and fail what is not done."""
        unfinished = [worker.task for worker in self._pool.values() if worker.task] + list(self._queue)
        self._shut()
        self._queue.clear()
        for task in unfinished:
            self._finish(task.job, Outcome.failed("The executor was closed before the job was done."))

    def _finish(self, job: Job[Any], outcome: Outcome) -> None:
        job.finish(outcome)
        self._done.append(job)

    def _dispatch(self) -> None:
        """Hand queued tasks to free workers, starting those that are missing or died while idle."""
        for number in range(self.workers):
            if not self._queue:
                return
            worker = self._pool.get(number)
            if worker and worker.task:
                continue
            if worker and not worker.process.is_alive():
                self._pool.pop(number).kill()
                worker = None
            task = self._queue.popleft()
            try:
                worker = worker or _Worker(number, self._options, self._cores)
            except OSError as error:
                said = f"A worker cannot be started: {error}. Close programs or use fewer workers, then go on."
                self._finish(task.job, Outcome(failure=Failure.of(MachineError(said))))
            else:
                self._pool[number] = worker
                task.job.begin(socket.gethostname())
                worker.begin(task)

    def _settle(self, worker: _Worker) -> None:
        """Finish the worker's task if it came to an end, and drop the worker if that was its own end too."""
        task = worker.task
        assert task is not None
        outcome = worker.outcome()
        if outcome is None:
            return
        worker.task = None
        if worker.is_spent:
            del self._pool[worker.number]
            worker.kill()
        self._finish(task.job, outcome)


class _Task:
    """A job on its way through the pool."""

    def __init__(self, job: Job[Any], payload: bytes, timeout: float):
        self.job = job
        self.payload = payload
        self.timeout = timeout
        self.start = inf

    @property
    def deadline(self) -> float:
        return self.start + self.timeout


class _Worker:
    """The parent's view of one worker: its process, its pipe, and the task that it is at."""

    def __init__(self, number: int, options: ProcessOptions, cores: Sequence[int]):
        self.number = number
        self.task: _Task | None = None
        self.is_spent = False
        first = number * options.threads
        group = {cores[(first + i) % len(cores)] for i in range(options.threads)} if options.is_pinned else set()
        self.pipe, remote = SPAWN.Pipe()
        args = (remote, os.getpid(), group, options.memory_gb)
        self.process = SPAWN.Process(target=_serve, name=f"paretonas-worker-{number}", args=args)
        try:
            variables = {**_MALLOC_VARIABLES, **dict.fromkeys(THREAD_VARIABLES, str(options.threads))}
            with environment(variables), interrupts_blocked():
                self.process.start()
        except OSError:
            self.pipe.close()
            raise
        finally:
            remote.close()

    def begin(self, task: _Task) -> None:
        """Send the task; if the worker is dead, `outcome` will tell."""
        self.task = task
        task.start = time.monotonic()
        with suppress(OSError):
            self.pipe.send_bytes(task.payload)
        task.payload = b""

    def outcome(self) -> Outcome | None:
        """How the task ended; None while it runs."""
        assert self.task is not None
        is_alive = self.process.is_alive()  # asked first: what the worker sent before it died is in the pipe by now
        now = time.monotonic()
        if self.pipe.poll():
            try:
                return unpack(self.pipe.recv_bytes())
            except (EOFError, OSError):
                is_alive = False
        if is_alive and now < self.task.deadline:
            return None
        self.is_spent = True
        seconds = now - self.task.start
        if is_alive:
            limit = f"its time limit of {self.task.timeout:g} s"
            return Outcome.failed(f"The job exceeded {limit} and was killed.", seconds=seconds)
        self.process.join(5.0)  # its pipe closes a moment before its exit code is known
        return Outcome.crashed(_epitaph(self.process.exitcode), seconds)

    def dismiss(self) -> None:
        """Let it leave by itself, if it is idle; `kill` waits for it."""
        if self.task is None:
            self.pipe.close()

    def kill(self) -> None:
        """End the worker and what its job started."""
        assert self.process.pid
        if self.pipe.closed:  # otherwise what it has of the system's would be called leaked
            self.process.join(LONGEST_LEAVING)
        if self.is_spent or self.process.is_alive():  # not of a worker that died idle: its number may be taken by now
            with suppress(OSError):  # it may not lead a group yet
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.join()
        self.process.close()
        self.pipe.close()


def _kill_all(pool: dict[int, _Worker]) -> None:
    for worker in pool.values():
        worker.dismiss()
    while pool:
        pool.popitem()[1].kill()


def _wait_for_news(busy: Sequence[_Worker], until: float) -> None:
    """Block until a worker sends or dies, a task's deadline passes, it is `until`, or a day has passed."""
    if busy:
        until = min([until, *(worker.task.deadline for worker in busy if worker.task)])
        seconds = min(max(0.0, until - time.monotonic()), LONGEST_WAIT)
        connection.wait([worker.pipe for worker in busy], seconds)


def _epitaph(exit_code: int | None) -> str:
    if exit_code is None:
        return "The worker closed its pipe before the job was done."
    names = {-number.value: number.name for number in signal.Signals}
    how = f"was killed by {names.get(exit_code, exit_code)}" if exit_code < 0 else f"ended with exit code {exit_code}"
    return f"The worker {how} before the job was done.{_HINTS.get(exit_code, '')}"


def _serve(pipe: connection.Connection, parent: int, cores: set[int], memory_gb: float | None) -> None:
    """What a worker does: run one task after the other until the parent closes the pipe."""
    os.setpgrp()  # a group of its own can be killed with all that the job starts, and gets no Ctrl-C from the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(pipe.fileno(), False)  # with the next line: what the job starts does not hold the pipe open
    os.register_at_fork(after_in_child=pipe.close)
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    if memory_gb:
        limit_memory(int(memory_gb * 2**30))
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(pack(attempt(call, pipe.recv_bytes())))


def _die_with(parent: int) -> None:
    """End this worker's group once its parent is gone, also in mid-job, which the end of the pipe would not interrupt.

    Polls: a pipe from the parent may be held open by other children, and Linux's PR_SET_PDEATHSIG follows a thread.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)
