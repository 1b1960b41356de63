"""An exported file scored where it will run, and held against the model that it came from."""

from __future__ import annotations

import numpy as np
from torch import nn

from paretonas.device import Device
from paretonas.errors import ExportError
from paretonas.export import Arrays, LoadedModel, ModelFile, in_batches
from paretonas.export.pairing import MOST_UNPAIRED, paired
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
        tolerance: Of the file's format.
    """

    def __init__(self, file: LoadedModel, model: nn.Module, interface: Interface, tolerance: float):
        self._file, self._model = in_batches(file, interface), as_run(model)
        self._interface, self._tolerance = interface, tolerance
        self._furthest, self._largest = np.zeros(len(interface.outputs)), np.full(len(interface.outputs), 1e-30)
        self._unpaired: list[float] = []

    @property
    def difference(self) -> float:
        """Largest difference of any output, relative to the largest number of that output."""
        return float((self._furthest / self._largest).max())

    @property
    def unpaired(self) -> float:
        """Share of the regions that the file chose otherwise."""
        return float(np.mean(self._unpaired or [0.0]))

    def __call__(self, inputs: Arrays) -> Arrays:
        """The file's outputs."""
        found = self._file(inputs)
        expected, compared, unpaired = paired(self._interface, self._model(inputs), found, self._tolerance)
        self._unpaired.append(unpaired)
        for i, (output, wanted) in enumerate(zip(compared, expected, strict=True)):
            self._furthest[i] = max(self._furthest[i], np.abs(output - wanted).max(initial=0.0))
            self._largest[i] = max(self._largest[i], np.abs(wanted).max(initial=0.0))
        return found


def rescore(device: Device, file: ModelFile, model: nn.Module, task: Task, part: Part, expected: float) -> Examination:
    """The score of an exported file on a part, run on a device, and what explains it.

    What computes in a lower precision gives other numbers than the model; its score is what it is.

    Raises:
        ExportError: Its outputs or its quality disagree with the model's.
    """
    tolerance = device.runtime.tolerance
    beside = Beside(device.open(file), model, file.interface, tolerance)
    examined = task.examine(beside, part)
    scored = examined.metrics[task.quality]
    if device.runtime.precision != "float32":
        return examined
    allowed = max(QUALITY_TOLERANCE, 1.5 * examined.step) * max(1.0, abs(expected))
    is_alike = beside.difference <= tolerance and beside.unpaired <= MOST_UNPAIRED
    if not (is_alike and abs(scored - expected) <= allowed):
        others = f", chooses {beside.unpaired:.0%} of its regions otherwise" if beside.unpaired else ""
        raise ExportError(
            f"An exported file agrees with its model within {tolerance:g} of the largest output and {allowed:.2g} in "
            f"{task.quality}, but {file.path.name} differs by {beside.difference:.2g}{others} and scores "
            f"{scored:.4f} instead of {expected:.4f}. Please report this with "
            f"{file.path.with_suffix('.safetensors').name}."
        )
    return examined
