"""ncnn on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from paretonas.device.contract import Runtime, check_threads
from paretonas.device.engine.ncnn import load, version
from paretonas.errors import ExportError, MeasureError
from paretonas.export import LoadedModel
from paretonas.export.ncnn import read_told
from paretonas.space import Interface

TOLERANCES = {"float32": 1e-3, "float16": 0.02}
"""float16 has eleven bits."""


@dataclass(frozen=True)
class Ncnn(Runtime):
    """ncnn on the CPU, without Vulkan.

    Args:
        threads: Of one layer. With 1, the model runs in the calling thread.
        precision: That it computes in. Files are float32 either way. With float16, which is what applications have by
            default, layers keep and compute numbers so where they can on that processor: on ARM they compute, on x86
            weights are rounded.

    Raises:
        DeviceError: `threads` is out of its range.
    """

    format: ClassVar[str] = "ncnn"
    engine: ClassVar[str] = "ncnn"
    threads: int = 1
    precision: Literal["float32", "float16"] = "float32"

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
        return load(path, asdict(self))

    def interface(self, path: Path) -> Interface:
        self.load(path)
        try:
            return read_told(path)[0]
        except ExportError as error:
            raise MeasureError(str(error)) from error
