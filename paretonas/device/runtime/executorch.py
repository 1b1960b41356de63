"""ExecuTorch on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from paretonas.device.contract import Runtime, check_threads
from paretonas.device.engine.executorch import Tensors, load, loaded_from, signature, version
from paretonas.errors import ExportError, MeasureError, SpecError
from paretonas.export import LoadedModel
from paretonas.export.executorch import written_interface
from paretonas.space import Interface
from paretonas.space.interface import Port


@dataclass(frozen=True)
class ExecuTorch(Runtime):
    """ExecuTorch on the CPU; what a file gives to XNNPACK runs there.

    Args:
        threads: Of one operator. With 1, the model runs in the calling thread. A process has one pool: files that are
            run in turn with different numbers are loaded anew each time.

    Raises:
        DeviceError: `threads` is out of its range.
    """

    format: ClassVar[str] = "executorch"
    engine: ClassVar[str] = "executorch"
    threads: int = 1

    def __post_init__(self) -> None:
        check_threads(self.threads)

    def version(self) -> str:
        return version()

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads}

    def load(self, path: Path) -> LoadedModel:
        return load(path, asdict(self))

    def interface(self, path: Path) -> Interface:
        inputs, outputs = signature(loaded_from(path), path)
        try:
            found = Interface(_ports("input", inputs), _ports("output", outputs))
            written = written_interface(path)
        except (SpecError, ExportError) as error:
            raise MeasureError(f"ExecuTorch cannot run {path}: {error}") from None
        if written is not None and _shapes(written) != _shapes(found):
            raise MeasureError(f"The interface behind a .pte is the file's, but {path} has {found} and says {written}.")
        return written or found


def _ports(name: str, tensors: Tensors) -> tuple[Port, ...]:
    """Tensors of a file that does not name them.

    Raises:
        SpecError: One is not one example.
    """
    return tuple(Port(f"{name}{i}", shape, dtype) for i, (dtype, shape) in enumerate(tensors))  # type: ignore[arg-type]


def _shapes(interface: Interface) -> list[Tensors]:
    return [[(port.dtype, port.shape) for port in ports] for ports in (interface.inputs, interface.outputs)]
