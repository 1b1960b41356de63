"""ONNX Runtime on the CPU, all graph optimizations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paretonas.device.engine import Runs
from paretonas.errors import MeasureError, MissingPackageError

FILES = "onnx", 0, b"\x08"


def _package() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingPackageError("onnxruntime", "The runtime 'onnxruntime'") from None
    return onnxruntime


def prepare() -> None:
    """Import the package."""
    _package()


def version() -> str:
    """Of the package."""
    return str(_package().__version__)


def load(path: Path, options: Mapping[str, Any]) -> Runs:
    """A session's run.

    Args:
        path: Of an ONNX file.
        options: `threads` of one operator.

    Raises:
        MeasureError: It does not take the file.
    """
    return runner_of(session(path, int(options["threads"])), path)


def session(path: Path, threads: int, trace: Path | None = None) -> Any:
    """A session that runs in the calling thread, if it has one thread.

    Args:
        path: Of an ONNX file.
        threads: Of one operator.
        trace: Where its profiler writes, with something appended; None: it is off.

    Raises:
        MeasureError: It does not take the file.
    """
    onnxruntime = _package()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if trace is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(trace)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base class
        raise MeasureError(f"ONNX Runtime cannot load {path}: {error}") from error


def runner_of(session: Any, path: Path) -> Runs:
    """What a session runs; `path` is named where it does not take what it is fed."""
    names = [value.name for value in session.get_inputs()]

    def run(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            return tuple(session.run(None, dict(zip(names, inputs, strict=True))))
        except Exception as error:  # its exceptions share no public base class
            raise MeasureError(f"ONNX Runtime cannot run {path}: {error}") from error

    return run
