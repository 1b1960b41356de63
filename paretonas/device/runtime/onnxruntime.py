"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from paretonas.device.device import Images, LoadedModel, Runtime
from paretonas.errors import DeviceError, MeasureError


@dataclass(frozen=True)
class OnnxRuntime(Runtime):
    """ONNX Runtime, CPU execution provider, all graph optimizations.

    Args:
        threads: Of one operator. With 1, the model runs in the calling thread.

    Raises:
        DeviceError: `threads` is not positive.
    """

    format: ClassVar[str] = "onnx"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise DeviceError(f"`threads >= 1` must hold, but got (threads={self.threads}).")

    def version(self) -> str:
        import onnxruntime

        return str(onnxruntime.__version__)

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads}

    def input_shape(self, path: Path) -> tuple[int, ...]:
        inputs = self._session(path).get_inputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape[1:]):
            found = [(value.name, value.shape) for value in inputs]
            raise MeasureError(f"A model takes one batch of images (N, C, H, W), but {path} takes {found}.")
        return (1, *shape[1:])

    def open(self, path: Path) -> LoadedModel:
        session = self._session(path)
        name = session.get_inputs()[0].name

        def run(x: Images) -> Images:
            output: Images = session.run(None, {name: x})[0]
            return output

        return run

    def _session(self, path: Path) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no public base class
            raise MeasureError(f"ONNX Runtime cannot load {path}: {error}") from error
