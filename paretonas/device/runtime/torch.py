"""PyTorch, eager, on the CPU, in the channels-last layout."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from paretonas.device.contract import Runtime, check_threads
from paretonas.device.profile import Profile, profile_of_runs
from paretonas.device.timing import clocks_for
from paretonas.errors import ExportError, MeasureError
from paretonas.export import Arrays, LoadedModel
from paretonas.export.checkpoint import Checkpoint, load_checkpoint
from paretonas.space import Interface


@dataclass(frozen=True)
class TorchRuntime(Runtime):
    """PyTorch's eager mode on the CPU; runs our checkpoints.

    Args:
        threads: Of one operator; sets PyTorch's number of threads for the process.

    Raises:
        DeviceError: `threads` is out of its range.
    """

    format: ClassVar[str] = "safetensors"
    threads: int = 1

    def __post_init__(self) -> None:
        check_threads(self.threads)

    def version(self) -> str:
        return str(torch.__version__)

    def conditions(self) -> Mapping[str, Any]:
        return {"threads": self.threads}

    def load(self, path: Path) -> LoadedModel:
        return self._runner(_load(path).model)

    def interface(self, path: Path) -> Interface:
        return _load(path).interface

    def _runner(self, model: nn.Module) -> LoadedModel:
        def run(inputs: Arrays) -> Arrays:
            torch.set_num_threads(self.threads)
            try:
                with torch.inference_mode():
                    output = model(*(_channels_last(torch.from_numpy(array)) for array in inputs))
            except (RuntimeError, TypeError, ValueError, IndexError) as error:
                raise MeasureError(f"PyTorch cannot run {type(model).__name__}: {error}") from error
            return tuple(tensor.numpy() for tensor in (output if isinstance(output, tuple | list) else (output,)))

        return run


def _channels_last(tensor: Tensor) -> Tensor:
    """In that layout, if it is one of images."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _load(path: Path) -> Checkpoint:
    """Read a checkpoint; a network that is fed images gets the layout."""
    try:
        checkpoint = load_checkpoint(path)
    except ExportError as error:
        raise MeasureError(str(error)) from error
    if any(len(port.shape) == 4 for port in checkpoint.interface.inputs):
        checkpoint.model.to(memory_format=torch.channels_last)
    return checkpoint


def profile_torch(runtime: TorchRuntime, path: Path, inputs: Arrays, runs: int) -> Profile:
    """The times between the hooks of all modules; a module's own code counts for it, its children's does not.

    Read from the runtime's clock. Modules that do nothing, run in turn with the network, tell what a hook takes.

    Raises:
        MeasureError: PyTorch does not take the file, or the runs differ in the modules that they call.
    """
    clocks = clocks_for(runtime.clock)
    clock = clocks.wall if runtime.clock == "wall" else clocks.cpu
    network = _Spans(runtime, _load(path).model, clock)
    idle = _Spans(runtime, nn.Sequential(*(nn.Identity() for _ in range(20))), clock)
    traces, overhead = [], []
    for _ in range(runs):
        traces.append(network.run(inputs))
        overhead.append(
            statistics.fmean(seconds for *_, seconds in idle.run(inputs[:1])[1:-1])
        )  # the ends are no hooks
    return profile_of_runs(traces, overhead)


class _Spans:
    """Cuts the runs of a model into spans of time, each of the module whose own code ran.

    Args:
        runtime: Runs it.
        model: Gets hooks on all its modules.
        clock: Seconds.
    """

    def __init__(self, runtime: TorchRuntime, model: nn.Module, clock: Callable[[], float]):
        for name, module in model.named_modules():
            if module is not model:
                module.register_forward_pre_hook(partial(self._enter, name))
                module.register_forward_hook(self._leave)
        self._run, self._clock = runtime._runner(model), clock

    def run(self, inputs: Arrays) -> list[tuple[str, str, float]]:
        """Type and path of the module, and seconds, of every span."""
        self._inside, self._found = [("model", "")], list[tuple[str, str, float]]()
        self._since = self._clock()
        self._run(inputs)
        self._cut()
        return self._found

    def _enter(self, name: str, module: nn.Module, _: Any) -> None:
        self._cut()
        self._inside.append((type(module).__name__, name))
        self._since = self._clock()

    def _leave(self, *_: Any) -> None:
        self._cut()
        self._inside.pop()
        self._since = self._clock()

    def _cut(self) -> None:
        now = self._clock()
        self._found.append((*self._inside[-1], now - self._since))
