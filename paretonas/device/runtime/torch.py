"""PyTorch, eager, on the CPU, in the channels-last layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from paretonas.device.device import Images, LoadedModel, Runtime
from paretonas.errors import DeviceError, ExportError, MeasureError
from paretonas.export.checkpoint import Checkpoint, load_checkpoint


@dataclass(frozen=True)
class TorchRuntime(Runtime):
    """PyTorch's eager mode on the CPU; runs our checkpoints.

    Args:
        threads: Of one operator; sets PyTorch's number of threads for the process.

    Raises:
        DeviceError: `threads` is not positive.
    """

    format: ClassVar[str] = "safetensors"
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise DeviceError(f"`threads >= 1` must hold, but got (threads={self.threads}).")

    def version(self) -> str:
        return str(torch.__version__)

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads}

    def input_shape(self, path: Path) -> tuple[int, ...]:
        return (1, *_load(path).input_shape[1:])

    def open(self, path: Path) -> LoadedModel:
        model = _load(path).model.to(memory_format=torch.channels_last)

        def run(x: Images) -> Images:
            torch.set_num_threads(self.threads)
            with torch.inference_mode():
                output: Images = model(torch.from_numpy(x).contiguous(memory_format=torch.channels_last)).numpy()
            return output

        return run


def _load(path: Path) -> Checkpoint:
    try:
        return load_checkpoint(path)
    except ExportError as error:
        raise MeasureError(str(error)) from error
