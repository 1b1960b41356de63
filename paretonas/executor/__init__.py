"""Where work runs: executors take jobs, a function and its arguments each, and know nothing of architectures."""

from paretonas.executor.executor import Executor, ExecutorOptions, Failure, Job, Outcome, attempt
from paretonas.registry import Registry

executors = Registry(
    "executor",
    {
        "process": "paretonas.executor.process:ProcessOptions",
        "ray": "paretonas.executor.ray:RayOptions",
        "serial": "paretonas.executor.serial:SerialOptions",
    },
)

__all__ = ["Executor", "ExecutorOptions", "Failure", "Job", "Outcome", "attempt", "executors"]
