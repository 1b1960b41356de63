"""LiteRT (TensorFlow Lite) on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from paretonas.device.contract import Runtime, check_keep, check_threads
from paretonas.device.engine.litert import interpreter, load, version
from paretonas.errors import MeasureError, SpecError
from paretonas.export import LoadedModel
from paretonas.export.quantize import Quantization
from paretonas.space import Interface
from paretonas.space.interface import DType, Port


@dataclass(frozen=True)
class LiteRt(Runtime):
    """LiteRT on the CPU.

    Args:
        threads: Of one operator. With 1, the model runs in the calling thread.
        delegate: Whose kernels: `xnnpack`, which is what applications have by default, or `none`, LiteRT's own, which
            are slower by far and rank networks otherwise.
        precision: Of its files; int8 is made of float32 by the data.
        keep: Modules that stay in float where the rest is int8.

    Raises:
        DeviceError: `threads` is out of its range, or something is kept in float that is not int8 otherwise.
    """

    format: ClassVar[str] = "litert"
    engine: ClassVar[str] = "litert"
    threads: int = 1
    delegate: Literal["xnnpack", "none"] = "xnnpack"
    precision: Literal["float32", "int8"] = "float32"
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_threads(self.threads)
        check_keep(self.keep, self.precision)

    def version(self) -> str:
        return version()

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads, "delegate": self.delegate, "precision": self.precision}

    @property
    def of_reference(self) -> LiteRt:
        return replace(self, keep=())

    @property
    def quantization(self) -> Quantization | None:
        return Quantization(activations="int8", keep=self.keep) if self.precision == "int8" else None

    def load(self, path: Path) -> LoadedModel:
        return load(path, asdict(self))

    def interface(self, path: Path) -> Interface:
        loaded = interpreter(path, asdict(self))
        inputs, outputs = loaded.get_input_details(), loaded.get_output_details()
        try:
            names = _names(loaded)
            return Interface(
                tuple(_port(tensor, names["inputs"]) for tensor in inputs),
                tuple(_port(tensor, names["outputs"]) for tensor in outputs),
            )
        except SpecError as error:
            raise MeasureError(f"LiteRT cannot run {path}: {error}") from None


def _names(loaded: Any) -> dict[str, dict[int, str]]:
    """Of inputs and outputs by the places of their tensors, where the file has one signature; else tensors' own."""
    signatures = list(loaded.get_signature_list())
    if len(signatures) != 1:
        return {"inputs": {}, "outputs": {}}
    runner = loaded.get_signature_runner(signatures[0])
    found = {"inputs": runner.get_input_details(), "outputs": runner.get_output_details()}
    return {kind: {int(tensor["index"]): name for name, tensor in named.items()} for kind, named in found.items()}


def _port(tensor: Mapping[str, Any], names: Mapping[int, str]) -> Port:
    """A tensor of a file.

    Raises:
        SpecError: It is not one example of fixed shape.
    """
    open_or_fixed = [int(side) for side in tensor["shape_signature"]]
    shape, dtype = [int(side) for side in tensor["shape"]], np.dtype(tensor["dtype"]).name
    if not shape or open_or_fixed[:1] not in ([1], [-1]) or -1 in open_or_fixed[1:] or dtype not in get_args(DType):
        raise SpecError(
            f"A model takes and gives tensors of {' or '.join(get_args(DType))} of one example (a batch that is 1 or "
            f"open, every other side fixed), but {tensor['name']!r} is {dtype} {open_or_fixed}. Export it so."
        )
    return Port(names.get(int(tensor["index"]), tensor["name"]), (1, *shape[1:]), dtype)
