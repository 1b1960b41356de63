"""OpenVINO on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from paretonas.device.contract import Runtime, check_threads
from paretonas.device.engine.openvino import load, version
from paretonas.device.runtime.onnxruntime import OnnxRuntime
from paretonas.errors import MeasureError
from paretonas.export import LoadedModel
from paretonas.export.onnx.external import check_external_data
from paretonas.space import Interface

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.02}
"""bfloat16 has eight bits: networks of the zoo differ by up to 0.04 in it, as PyTorch computes it; float16 has 11."""


@dataclass(frozen=True)
class OpenVino(Runtime):
    """OpenVINO on the CPU, one stream.

    Args:
        threads: Of one operator. With 1, the model runs in the calling thread.
        precision: That it computes in. Files are float32 either way; bfloat16 and float16 are for processors that have
            them, and are what OpenVINO would take there by itself.

    Raises:
        DeviceError: `threads` is out of its range.
    """

    format: ClassVar[str] = "onnx"
    engine: ClassVar[str] = "openvino"
    threads: int = 1
    precision: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        check_threads(self.threads)

    def version(self) -> str:
        return version()

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads, "precision": self.precision}

    @property
    def tolerance(self) -> float:
        return TOLERANCES[self.precision]

    def load(self, path: Path) -> LoadedModel:
        try:
            check_external_data(path)
        except Exception as error:  # of whatever reads files
            raise MeasureError(f"OpenVINO cannot load {path}: {error}") from error
        return load(path, asdict(self))

    def interface(self, path: Path) -> Interface:
        found = OnnxRuntime().interface(path)
        replace(self, precision="float32").load(path)  # which any machine has, and this need not be the device's
        return found
