"""What a file format is, and how a file is checked against the model that it was made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from paretonas.errors import ExportError
from paretonas.export.boxes import Decoding
from paretonas.export.pairing import MOST_UNPAIRED, Arrays, paired
from paretonas.space import Interface, Spec

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "float16", "int8"]
"""Of the numbers that a file computes with."""

NOTHING: Mapping[str, Any] = MappingProxyType({})

LoadedModel = Callable[[Arrays], Arrays]
"""Runs one example: the interface's inputs in order, batch 1, to its outputs in order."""


class Format(ABC):
    """One file format. A subclass is a frozen dataclass whose fields are its options.

    Attributes:
        suffix: Of its files, with the dot.
        runtime: The one that opens its files where nobody names one.
        tolerance: Largest difference of any output between a file and its model, relative to the largest output.
        is_slow: Whether a conversion takes many seconds, so that a search makes files ahead.
        boxes: Whether its files end in boxes, where a detector is written: an option of formats that can.
    """

    suffix: ClassVar[str]
    runtime: ClassVar[str]
    tolerance: ClassVar[float]
    is_slow: ClassVar[bool] = False
    boxes: bool = False

    @abstractmethod
    def write(
        self,
        model: nn.Module,
        spec: Spec,
        interface: Interface,
        path: Path,
        metadata: Mapping[str, Any] = NOTHING,
        decoding: Decoding | None = None,
    ) -> None:
        """Write `model` in evaluation mode and leave it as it was; see `in_evaluation` and `paretonas.files`.

        Args:
            model: Built from `spec`.
            spec: Of the model.
            interface: Of the model; its names are those of the file's inputs and outputs.
            path: Is replaced in one step, so that no truncated file ever stands there.
            metadata: JSON data that the file is to say of itself.
            decoding: What comes after the network; given exactly where `boxes` is true.

        Raises:
            ExportError: It cannot be put into this format.
            MachineError: The system refuses to write.
        """

    @abstractmethod
    def metadata(self, path: Path) -> Mapping[str, Any]:
        """What a file says of itself, unchecked: it may be anybody's.

        Raises:
            ExportError: It is no file of this format.
        """

    def _check_decoding(self, decoding: Decoding | None) -> None:
        """Whether it was given what its option asks for.

        Raises:
            ExportError: Not so.
        """
        if self.boxes != (decoding is not None):
            raise ExportError(
                f"A file ends in boxes where its network is a detector of a search and the format has `boxes=true`, "
                f"but got {type(self).__name__}(boxes={self.boxes}) {'with' if decoding else 'without'} a decoding."
            )


@dataclass(frozen=True)
class ModelFile:
    """An exported network.

    Args:
        path: The file.
        interface: What it is fed and gives.
        precision: Of its numbers.
    """

    path: Path
    interface: Interface
    precision: Precision = "float32"


@contextmanager
def in_evaluation(model: nn.Module) -> Iterator[None]:
    """Put `model` in evaluation mode; afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def example_inputs(interface: Interface, seed: int = 0) -> Arrays:
    """One example that suits every network of that interface.

    Args:
        interface: Of the network.
        seed: Of the noise.

    Returns:
        Standard normal noise where fractions go in, and zeros where whole numbers do: an index that every table has.
    """
    rng = np.random.default_rng(seed)
    return tuple(
        rng.standard_normal(port.shape, np.float32).astype(port.dtype, copy=False)
        if port.dtype.startswith("float")
        else np.zeros(port.shape, port.dtype)
        for port in interface.inputs
    )


def tensors_for(model: nn.Module, arrays: Arrays) -> tuple[Tensor, ...]:
    """Copies, which the model may change, where its weights are."""
    import torch

    device = next(model.parameters(), torch.empty(0)).device
    return tuple(torch.tensor(array, device=device) for array in arrays)


def outputs_of(model: nn.Module, inputs: Arrays) -> Arrays:
    """What a module gives: one array, or all of its tuple."""
    import torch  # here, so that formats are listed without it

    with torch.inference_mode():
        outputs = model(*tensors_for(model, inputs))
    return tuple(x.detach().cpu().numpy() for x in (outputs if isinstance(outputs, tuple | list) else (outputs,)))


def in_batches(file: LoadedModel, interface: Interface) -> Callable[[Arrays], Arrays]:
    """What runs a file on every example of a batch.

    Args:
        file: Takes one example.
        interface: Of the file. Inputs that are left out at the end are zeros: a state that begins.
    """

    def run(inputs: Arrays) -> Arrays:
        examples, left_out = len(inputs[0]), interface.inputs[len(inputs) :]
        inputs = (*inputs, *(np.zeros((examples, *port.shape[1:]), port.dtype) for port in left_out))
        rows = [file(tuple(np.ascontiguousarray(x[i : i + 1]) for x in inputs)) for i in range(examples)]
        return tuple(np.concatenate(outputs) for outputs in zip(*rows, strict=True))

    return run


def verify(model: nn.Module, run: LoadedModel, file: ModelFile, tolerance: float) -> float:
    """Compare a file with the model that it was exported from, on one example; chosen regions in pairs.

    Args:
        model: Is run in evaluation mode.
        run: Runs the file.
        file: Exported from the model.
        tolerance: Largest difference allowed in any output, relative to the largest number of that output.

    Returns:
        The largest difference relative to the largest number of its output.

    Raises:
        ExportError: The difference exceeds the tolerance or is not finite, too many regions are chosen otherwise, or
            model, file and interface differ in the number or the shapes of their outputs.
    """
    inputs = example_inputs(file.interface)
    with in_evaluation(model):
        expected = outputs_of(model, inputs)
    found = run(inputs)
    name, ports = file.path.name, file.interface.outputs
    if not len(found) == len(expected) == len(ports):
        raise ExportError(f"{name} gives {len(found)} outputs, the model {len(expected)}, its interface {len(ports)}.")
    for port, ours, theirs in zip(ports, expected, found, strict=True):
        if not theirs.shape == ours.shape == port.shape:
            raise ExportError(
                f"{name} gives outputs of shape {theirs.shape}, the model of {ours.shape}, its interface of "
                f"{port.shape} as {port.name!r}."
            )
    expected, found, unpaired = paired(file.interface, expected, found, tolerance)
    if unpaired > MOST_UNPAIRED:
        raise ExportError(
            f"An exported file chooses the regions that its model chooses, but for {MOST_UNPAIRED:.0%} of them, but of "
            f"{name} {unpaired:.0%} are others. Please report this with the spec."
        )
    differences = []
    for port, ours, theirs in zip(ports, expected, found, strict=True):
        differences.append(_difference(ours.astype(np.float64), theirs.astype(np.float64)))
        if not differences[-1] <= tolerance:
            raise ExportError(
                f"An exported file agrees with its model within {tolerance:g} of the largest output, but {name} "
                f"differs by {differences[-1]:.2g} in {port.name!r}. Please report this with the spec."
            )
    return max(differences)


def _difference(expected: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    """The largest, relative to the largest number expected; NaN if any is."""
    with np.errstate(invalid="ignore"):  # infinity less infinity
        return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30))
