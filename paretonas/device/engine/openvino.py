"""OpenVINO on the CPU: one stream, the precision that is asked for, nothing sent and nothing kept."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from paretonas.device.engine import Runs
from paretonas.errors import DeviceError, MeasureError, MissingPackageError

FILES = "onnx", 0, b"\x08"

_CONVERTER: Any = "openvino.tools.ovc"
"""Its module that converts files; to import it sends an event to its makers and leaves a folder in the home."""


@cache
def _package() -> Any:
    """The package, imported as if it had no converter: half of the import, and all of the telemetry."""
    is_blocked = _CONVERTER not in sys.modules
    if is_blocked:
        sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        import openvino
    except ImportError:
        raise MissingPackageError("openvino", "The runtime 'openvino'") from None
    finally:
        if is_blocked:
            sys.modules.pop(_CONVERTER, None)
    return openvino


@cache
def _core() -> Any:
    """The one of this process.

    Each gives the thread that makes it a stack for signals, and takes it back when it goes: of two that go in the order
    in which they came, the second leaves the stack of the first, which is gone, and the next signal ends the process.
    """
    return _package().Core()


def prepare() -> None:
    """Import the package."""
    _package()


def version() -> str:
    """Of the package."""
    return str(_package().__version__)


def load(path: Path, options: Mapping[str, Any]) -> Runs:
    """What runs a file, in the calling thread if it has one thread.

    Args:
        path: Of an ONNX file; a batch that is open becomes 1.
        options: `threads`, and `precision`: "float32", "bfloat16" or "float16".

    Raises:
        DeviceError: The processor does not compute in that precision.
        MeasureError: It does not take the file.
    """
    openvino, core = _package(), _core()
    known = {"float32": openvino.Type.f32, "bfloat16": openvino.Type.bf16, "float16": openvino.Type.f16}
    precision = known[options["precision"]]
    settings = {
        "INFERENCE_PRECISION_HINT": precision,  # without one it takes bfloat16 by itself where there is any
        "INFERENCE_NUM_THREADS": int(options["threads"]),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
        "CACHE_DIR": "",
    }
    try:
        model = core.compile_model(_read(openvino, path), "CPU", settings)
        chosen = model.get_property("INFERENCE_PRECISION_HINT")
        run = _runner(model, path)
    except Exception as error:  # its exceptions share no public base class
        raise MeasureError(f"OpenVINO cannot load {path}: {error}") from error
    if chosen != precision:
        raise DeviceError(
            f"OpenVINO computes in {options['precision']} where the processor does, but this one, "
            f"{core.get_property('CPU', 'FULL_DEVICE_NAME')}, does not. Use `openvino:precision=float32`."
        )
    return run


def _read(openvino: Any, path: Path) -> Any:
    """The model of a file, for one example.

    Raises:
        ValueError: It has no outputs, as an empty file, or its inputs are open in more than the batch.
    """
    reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")  # not of whatever format it looks like
    model = reader.convert(reader.load(str(path)))
    shapes = {port: port.partial_shape for port in model.inputs}
    for shape in shapes.values():
        if shape.rank.is_static and len(shape) and shape[0].is_dynamic:
            shape[0] = 1
    if not model.outputs or any(shape.is_dynamic for shape in shapes.values()):
        raise ValueError("it has no outputs, or sides of its inputs other than the batch are open")
    model.reshape(shapes)
    return model


def _runner(model: Any, path: Path) -> Runs:
    """What runs a model; `path` is named where it does not take what it is fed."""
    request = model.create_infer_request()
    expected = [(port.get_element_type().to_dtype(), tuple(port.shape)) for port in model.inputs]
    outputs = range(len(model.outputs))

    def run(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        given = [(array.dtype, array.shape) for array in inputs]
        if given != expected:  # it would convert types and repeat numbers without a word
            raise MeasureError(f"OpenVINO cannot run {path}: it takes {_shown(expected)}, but got {_shown(given)}.")
        try:
            found = request.infer(dict(enumerate(inputs)), share_inputs=True)
            return tuple(np.asarray(found[i]) for i in outputs)
        except Exception as error:  # its exceptions share no public base class
            raise MeasureError(f"OpenVINO cannot run {path}: {error}") from error

    return run


def _shown(arrays: Any) -> str:
    return ", ".join(f"{dtype} {list(shape)}" for dtype, shape in arrays) or "nothing"
