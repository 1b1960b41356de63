"""What a model costs before it runs anywhere: parameters, MACs, weight bytes, peak activation memory.

MACs are multiply-accumulates of convolutions and matrix products; biases, normalization, activations and pooling count
nothing. Any module that PyTorch can run can be counted; nothing is computed, shapes alone are propagated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

from paretonas.network import build
from paretonas.network.check import check_outputs, running
from paretonas.network.shapes import Recorder, inputs_without_numbers, result_of, without_numbers
from paretonas.registry import short
from paretonas.space import Interface, Spec


@dataclass(frozen=True)
class Cost:
    """Costs of one forward pass.

    Args:
        params: Number of parameters (buffers such as running means not included).
        macs: Multiply-accumulates.
        weight_bytes: Size of the parameters.
        peak_memory_bytes: Largest sum of the activations that are alive at once, input included. A tensor lives until
            it is last read, an output to the end; normalization and elementwise operations overwrite an input that
            nothing else reads.
        by_module: Parameters and MACs by dotted module name; a module includes its children.
    """

    params: int
    macs: int
    weight_bytes: int
    peak_memory_bytes: int
    by_module: dict[str, tuple[int, int]]

    def metrics(self) -> dict[str, float]:
        """The four totals by metric name."""
        return {name: value for name, value in vars(self).items() if name != "by_module"}


def cost(model: nn.Module, interface: Interface) -> Cost:
    """Count `model` in evaluation mode on one example of its inputs. The model is left as it was.

    Raises:
        SpecError: It cannot be run on them.
    """
    return _count(model, deepcopy(model).to("meta").eval(), interface)[0]


@lru_cache(maxsize=4096)
def spec_cost(spec: Spec, interface: Interface) -> Cost:
    """The cost of one example through the network of `spec`.

    Raises:
        SpecError: It cannot be built or run, or its outputs are not those of the interface.
    """
    with without_numbers():
        model = build(spec, interface)
    model = model.to("meta").eval()  # of what others make, too
    found, outputs = _count(model, model, interface)
    check_outputs(outputs, interface, 1, f"The network {short(spec)}")
    return found


def _count(model: nn.Module, shapes: nn.Module, interface: Interface) -> tuple[Cost, Any]:
    """The cost, and the outputs without their numbers; `shapes` is the model, or a copy, on no device."""
    with torch.no_grad():
        inputs = inputs_without_numbers(interface)
        recorder = _Recorder(shapes, inputs)
        with running(type(model).__name__, inputs), recorder.modules, recorder:
            outputs = shapes(*inputs)
    macs = {name.partition(".")[2]: flops // 2 for name, flops in recorder.flops.items()}  # names begin with the class
    by_module = {n: (sum(p.numel() for p in m.parameters()), macs.get(n, 0)) for n, m in model.named_modules() if n}
    parameters = list(model.parameters())
    found = Cost(
        params=sum(p.numel() for p in parameters),
        macs=recorder.flops["Global"] // 2,
        weight_bytes=sum(p.numel() * p.element_size() for p in parameters),
        peak_memory_bytes=recorder.peak_memory(outputs),
        by_module=by_module,
    )
    return found, outputs


class _Recorder(Recorder):
    """Records which storages every operation reads and makes, and counts; weights and buffers are not activations.

    Attributes:
        modules: To be entered too: it knows in which modules an operation is.
        flops: Module, or `Global` for all -> operations.
    """

    def __init__(self, model: nn.Module, inputs: Sequence[Tensor]):
        super().__init__()
        self.modules, self.flops = ModuleTracker(), Counter[str]()
        self._kept: list[Tensor] = [*model.parameters(), *model.buffers()]  # alive, so that no storage is reused
        self._weights = {_key(tensor) for tensor in self._kept}
        self._sizes = {_key(x): x.untyped_storage().nbytes() for x in inputs}
        # What each operation reads and makes, and whether it may overwrite what it reads. The first makes the inputs.
        self._operations: list[tuple[list[int], list[int], bool]] = [([], list(self._sizes), False)]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = result_of(func, args, kwargs or {})
        if count := flop_registry.get(func.overloadpacket):
            self.flops.update(dict.fromkeys(self.modules.parents, count(*args, **(kwargs or {}), out_val=result)))
        read = [_key(tensor) for tensor in _tensors([*args, *(kwargs or {}).values()])]
        made = {_key(tensor): tensor for tensor in _tensors([result])}
        self._kept += made.values()
        new = [key for key in made if key not in self._sizes and key not in self._weights]
        self._sizes |= {key: made[key].untyped_storage().nbytes() for key in new}
        self._operations.append(([k for k in read if k in self._sizes], new, _is_elementwise(func)))
        return result

    def peak_memory(self, outputs: Any) -> int:
        """Largest sum of tensors alive at once: each from when it is made until it is last read, outputs to the end."""
        last_read = {key: i for i, (read, made, _) in enumerate(self._operations) for key in (*made, *read)}
        last_read |= {_key(tensor): len(self._operations) for tensor in _tensors([outputs])}
        alive: set[int] = set()
        peak = 0
        for i, (read, made, is_elementwise) in enumerate(self._operations):
            dying = {key for key in (*read, *made) if last_read[key] == i}
            largest = max((self._sizes[key] for key in dying & alive), default=0) if is_elementwise else 0
            reused = min(largest, sum(self._sizes[key] for key in made))
            alive |= set(made)
            peak = max(peak, sum(self._sizes[key] for key in alive) - reused)
            alive -= dying
        return peak


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those among values, and in lists and tuples of these."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


@cache
def _is_elementwise(func: Any) -> bool:
    return torch.Tag.pointwise in func.tags or "batch_norm" in str(func)


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
