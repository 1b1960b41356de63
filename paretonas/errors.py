"""Every error that paretonas raises on purpose.

    ParetonasError
    ├── UsageError               what was asked for cannot be: exit code 2
    │   ├── UnknownNameError     no plugin of that name; the message suggests the nearest
    │   ├── SpecError            a spec, architecture or search space that breaks its rules
    │   ├── DataError            images, labels or files that cannot be used
    │   ├── DeviceError          a device string or device that cannot be used
    │   ├── StoreError           a store that cannot be opened, or a row that does not check
    │   └── MissingPackageError  an optional dependency is absent; the message holds the pip line
    └── WorkError                the work was right to try and failed: exit code 1
        ├── ExportError          a model that could not be exported, or whose file disagrees with it
        ├── MeasureError         a latency that could not be measured
        ├── TrainingError        training diverged or could not go on
        ├── WorkerError          a job failed, ran out of memory or exceeded its time
        │   └── CrashError       a worker died at its job
        └── MachineError         the machine refuses: a full disk, a folder that cannot be written to, a lost device

A message states the rule, the value that broke it, and the remedy. Errors of other libraries are translated where
they enter: a caller of the public interface never has to catch another library's exceptions.
"""

import shlex


class ParetonasError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class UsageError(ParetonasError):
    """What was asked for cannot be; nothing was changed."""

    exit_code = 2


class UnknownNameError(UsageError):
    """No plugin of that name."""


class SpecError(UsageError):
    """A spec, an architecture or a search space breaks its rules."""


class DataError(UsageError):
    """Images, labels or files that cannot be used as a data set."""


class DeviceError(UsageError):
    """A device string or a device that cannot be used."""


class StoreError(UsageError):
    """A store that cannot be opened or a stored row that does not check."""


class MissingPackageError(UsageError):
    """An optional dependency is absent."""

    def __init__(self, package: str, needed_for: str):
        command = f"pip install {shlex.quote(package)}"
        super().__init__(f"{needed_for} needs the package {package!r}, which is not installed: {command}")


class WorkError(ParetonasError):
    """The work was right to try and failed."""


class ExportError(WorkError):
    """A model could not be exported, or its file disagrees with the model."""


class MeasureError(WorkError):
    """A latency could not be measured."""


class TrainingError(WorkError):
    """Training diverged or could not go on."""


class WorkerError(WorkError):
    """A job failed, ran out of memory or exceeded its time."""


class CrashError(WorkerError):
    """A worker died at its job: killed, or brought down by what it ran."""


class MachineError(WorkError):
    """The machine refuses, whatever was worked on: a full disk, a read-only folder, too many open files, a lost device.

    A search stops there and loses nothing: the same trial goes on once the machine is well.
    """
