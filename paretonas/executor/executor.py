"""The contract of executors, and how a job's end travels back from where it ran."""

from __future__ import annotations

import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, Self, TypeVar, final

from paretonas.errors import CrashError, MachineError, ParetonasError, UsageError, WorkerError
from paretonas.files import is_refusal

T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """An error as data: an exception with an `__init__` of its own does not survive pickling.

    Args:
        kind: Class to raise.
        args: Its `args`; the message comes first.
        attributes: What else was set on it.
        traceback: Text of the traceback where it was raised; empty if the worker could not send one.
    """

    kind: type[ParetonasError]
    args: tuple[Any, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Errors of ours keep their class; any other becomes a `WorkerError` that names it.

        Where the machine refuses, whoever says so, it is a `MachineError`.
        """
        if isinstance(error, MemoryError):
            traceback.clear_frames(error.__traceback__)  # the frames hold what filled the memory
        text = "".join(traceback.format_exception(error))
        if isinstance(error, MachineError) or (isinstance(error, ParetonasError) and not is_refusal(error)):
            return cls(type(error), error.args, dict(vars(error)), text)
        message = "".join(traceback.format_exception_only(error)).strip()
        if is_refusal(error):
            return cls(MachineError, (f"The machine refuses ({message}). Mend that, then go on.",), {}, text)
        if isinstance(error, MemoryError):
            message = f"The job ran out of memory ({message}). Use smaller batches or fewer workers."
        return cls(WorkerError, (message,), {}, text)

    def error(self) -> ParetonasError:
        """The exception, with the remote traceback as a note."""
        error = self.kind.__new__(self.kind, *self.args)
        vars(error).update(self.attributes)
        if self.traceback:
            notes = self.attributes.get("__notes__", ())
            error.__notes__ = [*notes, f"Where the job ran:\n{self.traceback}"]
        return error


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with a value, or with a failure.

    Args:
        value: What the function returned; None if it failed.
        failure: Why there is no value; None if there is one.
        seconds: Wall time from the start of the job, including imports that it caused.
        attempts: Workers that were given the job: more than one where the executor itself replaces those that it loses.
    """

    value: Any = None
    failure: Failure | None = None
    seconds: float = 0.0
    attempts: int = 1

    @classmethod
    def failed(cls, message: str, traceback: str = "", seconds: float = 0.0) -> Outcome:
        """The end of a job that is not the function's own doing, such as its being out of time."""
        return cls(failure=Failure(WorkerError, (message,), traceback=traceback), seconds=seconds)

    @classmethod
    def crashed(cls, message: str, seconds: float, attempts: int = 1) -> Outcome:
        """The end of a job with which its worker died."""
        return cls(failure=Failure(CrashError, (message,)), seconds=seconds, attempts=attempts)


def attempt(function: Callable[..., Any], *args: Any) -> Outcome:
    """Call `function(*args)` and say how it ended; only KeyboardInterrupt passes through."""
    start = time.perf_counter()
    try:
        value = function(*args)
    except (Exception, SystemExit) as error:
        return Outcome(failure=Failure.of(error), seconds=time.perf_counter() - start)
    return Outcome(value, seconds=time.perf_counter() - start)


@final
class Job(Generic[T]):
    """A handle on submitted work.

    Args:
        key: The caller's name for it; executors do not look at it.

    Attributes:
        node: Name of the machine where it runs, or ran; empty until it has begun, and where nobody says.
    """

    def __init__(self, key: str):
        self.key, self.node = key, ""
        self._outcome: Outcome | None = None

    @property
    def is_done(self) -> bool:
        """Whether `result` can be called. Changes only inside calls to the executor."""
        return self._outcome is not None

    @property
    def seconds(self) -> float:
        """Wall time that the job took; 0 until it is done."""
        return self._outcome.seconds if self._outcome else 0.0

    @property
    def attempts(self) -> int:
        """Workers that were given the job; see `Outcome`."""
        return self._outcome.attempts if self._outcome else 1

    @property
    def is_refused(self) -> bool:
        """Whether the machine refused, which is no fault of the job and ends a session."""
        failure = self._outcome.failure if self._outcome else None
        return failure is not None and issubclass(failure.kind, MachineError)

    @property
    def traceback(self) -> str:
        """Text of the traceback where the job raised; empty if it did not, or if its worker died."""
        return self._outcome.failure.traceback if self._outcome and self._outcome.failure else ""

    def result(self) -> T:
        """What the function returned.

        Raises:
            ParetonasError: The function raised it: same class, same message.
            WorkerError: The function raised another exception, or its worker died, ran out of memory or time.
            UsageError: The job is not done.
        """
        if self._outcome is None:
            raise UsageError(f"A job has a result once `wait` has returned it, but job {self.key!r} is not done.")
        if self._outcome.failure:
            raise self._outcome.failure.error()
        value: T = self._outcome.value
        return value

    def begin(self, node: str) -> None:
        """For executors: say where the job runs."""
        self.node = node

    def finish(self, outcome: Outcome) -> None:
        """For executors: say how the job ended."""
        self._outcome = outcome


class Executor(ABC):
    """Runs jobs, one at a time per worker, and hands them back in the order in which they end.

    Whatever happens to a job or to its worker fails that job only; the executor stays usable. Jobs start in the order
    of submission. Queued jobs start, and time limits are held, inside `submit` and `wait`. One thread uses an executor.

    A `Path` among a job's arguments is one of this machine. Where a worker does not see it, its file and those beside
    it of the same stem are brought along, and back when they have changed; of a folder only the name, unless it is a
    `Folder`, whose contents are brought along to be read.

    Attributes:
        workers: How many jobs run at once, >= 1.
        is_here: Whether jobs may run on this machine, where they would disturb what is timed.
    """

    workers: int
    is_here: bool = True

    @abstractmethod
    def submit(self, key: str, function: Callable[..., T], *args: Any, timeout: float | None = None) -> Job[T]:
        """Run `function(*args)` as soon as a worker is free.

        Args:
            key: The caller's name for the job.
            function: Found by its name in an importable module: no lambda, no nested function.
            args: Picklable, and not to be changed by the function.
            timeout: Seconds after which the job fails, counted from when a worker gets it; None: no limit.

        Raises:
            UsageError: The executor is closed.
        """

    @abstractmethod
    def wait(self, timeout: float | None = None) -> list[Job[Any]]:
        """Block until a job is done; return all that are done and were not returned before.

        Args:
            timeout: Seconds; None waits as long as it takes.

        Returns:
            Empty after the timeout, and at once where nothing is pending.
        """

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many further jobs would start at once."""

    @abstractmethod
    def close(self) -> None:
        """Kill what runs and free the workers; jobs that are not done fail. May be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ExecutorOptions(Protocol):
    """What is registered: a frozen dataclass whose fields are the options."""

    def count(self) -> int:
        """How many jobs its executor runs at once; no worker is started to say so."""
        ...

    def start(self) -> Executor:
        """The running executor."""
        ...
