"""An exported file scored where it will run, and held against the model that it came from."""

from __future__ import annotations

import numpy as np
from torch import nn

from paretonas.device import Device
from paretonas.errors import ExportError
from paretonas.export import Arrays, LoadedModel, ModelFile, formats
from paretonas.space import Interface
from paretonas.task.task import Examination, Part, Task
from paretonas.training.fit import as_run

QUALITY_TOLERANCE = 0.002
"""Largest difference of quality between a model and its file, but one example is always allowed to tip over."""


class Beside:
    """Runs a file one example at a time and the model on the batch, and keeps how far they are apart.

    Args:
        file: One example.
        model: A batch.
        interface: Of both. Inputs that are left out at the end are zeros: a state that begins.
    """

    def __init__(self, file: LoadedModel, model: nn.Module, interface: Interface):
        self._file, self._model, self._ports = file, as_run(model), interface.inputs
        self._furthest, self._largest = 0.0, 1e-30

    @property
    def difference(self) -> float:
        """Largest difference of any output, relative to the largest output."""
        return self._furthest / self._largest

    def __call__(self, inputs: Arrays) -> Arrays:
        """The file's outputs."""
        examples, left_out = len(inputs[0]), self._ports[len(inputs) :]
        inputs = (*inputs, *(np.zeros((examples, *port.shape[1:]), port.dtype) for port in left_out))
        rows = [self._file(tuple(np.ascontiguousarray(x[i : i + 1]) for x in inputs)) for i in range(examples)]
        found = tuple(np.concatenate(outputs) for outputs in zip(*rows, strict=True))
        for output, expected in zip(found, self._model(inputs), strict=True):
            self._furthest = max(self._furthest, float(np.abs(output - expected).max()))
            self._largest = max(self._largest, float(np.abs(expected).max()))
        return found


def rescore(device: Device, file: ModelFile, model: nn.Module, task: Task, part: Part, expected: float) -> Examination:
    """The score of an exported file on a part, run on a device, and what explains it.

    Raises:
        ExportError: Its outputs or its quality disagree with the model's.
    """
    beside = Beside(device.open(file), model, file.interface)
    tolerance = formats.create(device.runtime.format).tolerance
    examined = task.examine(beside, part)
    scored = examined.metrics[task.quality]
    allowed = max(QUALITY_TOLERANCE, 1.5 * examined.step) * max(1.0, abs(expected))
    if not (beside.difference <= tolerance and abs(scored - expected) <= allowed):
        raise ExportError(
            f"An exported file agrees with its model within {tolerance:g} of the largest output and {allowed:.2g} in "
            f"{task.quality}, but {file.path.name} differs by {beside.difference:.2g} and scores {scored:.4f} instead "
            f"of {expected:.4f}. Please report this with {file.path.with_suffix('.safetensors').name}."
        )
    return examined
