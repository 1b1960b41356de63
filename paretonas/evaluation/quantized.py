"""A network as its int8 file: what a candidate of a device that computes in int8 is scored by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from paretonas.device import parse_device
from paretonas.export import in_batches
from paretonas.files import scratch_folder
from paretonas.network import build
from paretonas.network.weights import lasting_state
from paretonas.space import Spec
from paretonas.task.showing import examples_of
from paretonas.task.task import Run, Task
from paretonas.training.fit import as_run


@contextmanager
def quantized(model: nn.Module, spec: Spec, task: Task, device: str, folder: Path) -> Iterator[Run]:
    """What runs the int8 file of a trained network, by the engine of a device, on this machine.

    The file is that of a finalist: calibrated on the first training examples as a score would feed them.

    Args:
        model: Trained; what serves training alone is left out.
        spec: Of the model.
        task: That it has learned.
        device: As users write it; its engine makes int8 of what it is given.
        folder: For the file, which is needed for a moment.

    Raises:
        ExportError: Quantization leaves nothing of it.
        MissingPackageError: The engine is not installed here.
    """
    here, interface = parse_device(device.partition("@")[0]), spec.with_state(task.interface)
    options = here.runtime.quantization
    assert options is not None
    plain = build(spec, interface)
    plain.load_state_dict({name: tensor.cpu() for name, tensor in lasting_state(model).items()})
    with scratch_folder(folder) as passing:
        examples = examples_of(task, as_run(plain), interface, options.examples)
        file = here.export(plain, spec, interface, passing / "candidate", examples=examples)
        yield in_batches(here.open(file), interface)
