"""LiteRT (TensorFlow Lite) on the CPU, with its XNNPACK kernels or with its own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paretonas.device.engine import Runs
from paretonas.errors import MeasureError, MissingPackageError
from paretonas.quiet import quiet

FILES = "tflite", 4, b"TFL3"


def _package() -> Any:
    try:
        from ai_edge_litert import interpreter
    except ImportError:
        raise MissingPackageError("ai-edge-litert", "The runtime 'litert'") from None
    return interpreter


def prepare() -> None:
    """Import the package."""
    _package()


def version() -> str:
    """Of the package."""
    if find_spec("ai_edge_litert") is None:  # to import it takes seconds
        raise MissingPackageError("ai-edge-litert", "The runtime 'litert'")
    return version_of("ai-edge-litert")


def load(path: Path, options: Mapping[str, Any]) -> Runs:
    """An interpreter's run.

    Args:
        path: Of a `.tflite`.
        options: `threads`, of one operator, and `delegate`: "xnnpack", or "none" for LiteRT's own kernels.

    Raises:
        MeasureError: It does not take the file.
    """
    return runner_of(interpreter(path, options), path)


def interpreter(path: Path, options: Mapping[str, Any]) -> Any:
    """An interpreter whose tensors have their places; with one thread it runs in the calling one.

    Args:
        path: See `load`.
        options: See `load`.

    Raises:
        MeasureError: It does not take the file.
    """
    package = _package()
    kernels = package.OpResolverType.AUTO
    if options["delegate"] == "none":
        kernels = package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        data = path.read_bytes()  # a mapped file that shrinks would end the process
        if data[4:8] != b"TFL3":
            raise ValueError("it does not begin as a .tflite does")
        with quiet():  # it says which delegate it has
            found = package.Interpreter(
                model_content=data, num_threads=int(options["threads"]), experimental_op_resolver_type=kernels
            )
            found.allocate_tensors()
    except Exception as error:  # ValueError and RuntimeError, and those of whatever reads files
        raise MeasureError(f"LiteRT cannot load {path}: {error}") from error
    return found


def runner_of(interpreter: Any, path: Path) -> Runs:
    """What an interpreter runs; `path` is named where it does not take what it is fed."""
    inputs_at = [tensor["index"] for tensor in interpreter.get_input_details()]
    outputs_at = [tensor["index"] for tensor in interpreter.get_output_details()]

    def run(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        try:
            for index, array in zip(inputs_at, inputs, strict=True):
                interpreter.set_tensor(index, array)
            interpreter.invoke()
            return tuple(interpreter.get_tensor(index) for index in outputs_at)  # copies
        except Exception as error:  # ValueError and RuntimeError
            raise MeasureError(f"LiteRT cannot run {path}: {error}") from error

    return run
