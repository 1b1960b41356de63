"""Work on files that may be anybody's, in a process of its own, which can be ended whatever the file makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from paretonas.executor.process import ProcessOptions

T = TypeVar("T")


def alone(function: Callable[..., T], *args: object, seconds: float | None = None) -> T:
    """What `function(*args)` gives in a process of its own, as that of a search's device.

    An engine that loops for ever hears neither a time limit nor Ctrl-C, and one that crashes takes its process with it.

    Args:
        function: Of a module.
        args: Picklable.
        seconds: After which it is ended; None: never.

    Raises:
        ParetonasError: What the function raised.
        WorkerError: The process died, or took longer.
    """
    with ProcessOptions(workers=1, pin=False).start() as executor:
        job = executor.submit(function.__name__, function, *args, timeout=seconds)
        executor.wait()
        return job.result()
