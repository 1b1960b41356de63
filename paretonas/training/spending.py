"""Resources by name: of any network, what its widths cost.

Source: Gordon et al., MorphNet, CVPR 2018, section 4.1; the released resource functions (google-research/morph-net,
resource_function.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from paretonas.errors import UsageError
from paretonas.network.cost import cost
from paretonas.network.layout import MAKERS, Layout, Run, is_depthwise
from paretonas.network.shapes import inputs_without_numbers
from paretonas.space import Interface
from paretonas.training.resource import Estimated, Numbers, Products, Resource, Roofline

ACCELERATORS: Mapping[str, tuple[float, float]] = {
    "k80": (8740, 480), "p4": (5500, 192), "t4": (8100, 300), "p100": (9300, 732), "v100": (125000, 900),
    "tpu-v2": (22500, 300),
}  # fmt: skip
"""GFLOP/s and GB/s. Source: google-research/morph-net, resource_function.py."""


@dataclass(frozen=True)
class Subject:
    """A network whose widths cost something.

    Args:
        model: In the widths of the layout.
        layout: Of it.
        interface: What it is fed and gives.
        estimate: Its latency in given widths, in ms; None: nobody knows.
    """

    model: nn.Module
    layout: Layout
    interface: Interface
    estimate: Callable[[tuple[int, ...]], float] | None = None


class ResourceOptions(ABC):
    """What is registered: a frozen dataclass whose fields are the options of a resource.

    Attributes:
        is_estimated: Whether it needs an estimate of latencies, and takes long to be asked.
    """

    is_estimated: ClassVar[bool] = False

    @abstractmethod
    def of(self, subject: Subject) -> Resource:
        """What the widths of a network cost."""


@dataclass(frozen=True)
class MACs(ResourceOptions):
    """Multiply-accumulates, as `paretonas.network.cost` counts them; MorphNet's FLOPs are twice as many."""

    def of(self, subject: Subject) -> Products:
        counted, table = cost(subject.model, subject.interface), _Table(subject.layout)
        for name, module, ins, outs in _makers(subject):
            table.add(counted.by_module[name][1], ins, outs, is_depthwise(module))
        return table.products(counted.macs)


@dataclass(frozen=True)
class Parameters(ResourceOptions):
    """Parameters, those of normalizations and biases too."""

    def of(self, subject: Subject) -> Products:
        modules, own = dict(subject.model.named_modules()), dict(subject.model.named_parameters())
        makers, table = {name: (ins, outs) for name, _, ins, outs in _makers(subject)}, _Table(subject.layout)
        for layer in subject.layout.layers:
            module = modules.get(layer.name)
            tensors = [own[layer.name]] if module is None else list(module.parameters(recurse=False))
            for tensor in tensors:
                if layer.name in makers and tensor.dim() > 1:
                    table.add(tensor.numel(), *makers[layer.name], module is not None and is_depthwise(module))
                else:
                    table.add(tensor.numel(), ONE, layer.outs)
        return table.products(sum(parameter.numel() for parameter in own.values()))


@dataclass(frozen=True)
class Activations(ResourceOptions):
    """Channels that convolutions and linear layers make, as MorphNet counts activations."""

    def of(self, subject: Subject) -> Products:
        table = _Table(subject.layout)
        for _, _, _, outs in _makers(subject):
            table.add(sum(run.count for run in outs), ONE, outs)
        return table.products(sum(table.totals))


@dataclass(frozen=True)
class RooflineLatency(ResourceOptions):
    """Time on a machine of which the speed and the bandwidth are known, in ns.

    Args:
        machine: k80, p4, t4, p100, v100, tpu-v2; empty: that of the next two.
        gflops: 10^9 operations a second; a MAC is two.
        gbytes: 10^9 bytes a second.

    Raises:
        UsageError: No such machine, or none at all.
    """

    machine: str = ""
    gflops: float = 0.0
    gbytes: float = 0.0

    def __post_init__(self) -> None:
        is_given = self.gflops > 0 and self.gbytes > 0
        if (self.machine not in ACCELERATORS if self.machine else not is_given) or (self.machine and is_given):
            raise UsageError(
                f"A roofline is of a machine ({', '.join(ACCELERATORS)}) or has positive gflops and gbytes, but got "
                f"(machine={self.machine!r}, gflops={self.gflops}, gbytes={self.gbytes})."
            )

    def of(self, subject: Subject) -> Roofline:
        sizes, own = _sizes(subject.model, subject.interface), dict(subject.model.named_parameters())
        fed, made, weights = _Table(subject.layout), _Table(subject.layout), _Table(subject.layout)
        for name, module, ins, outs in _makers(subject):
            inputs, outputs = sizes.get(name, (0, 0))
            fed.add(inputs, outs if is_depthwise(module) else ins, ONE)
            made.add(outputs, ONE, outs)
            weights.add(own[f"{name}.weight"].numel(), ins, outs, is_depthwise(module))
        moved = (fed.products(sum(fed.totals)), made.products(sum(made.totals)), weights.products(sum(weights.totals)))
        gflops, gbytes = ACCELERATORS.get(self.machine, (self.gflops, self.gbytes))
        return Roofline(MACs().of(subject), moved, gflops, gbytes)


@dataclass(frozen=True)
class EstimatedLatency(ResourceOptions):
    """Latency on the device, as a predictor says it that was fitted on this network in some measured widths."""

    is_estimated: ClassVar[bool] = True

    def of(self, subject: Subject) -> Estimated:
        if subject.estimate is None:
            raise UsageError("Latencies are estimated for a device, but nobody has measured any.")
        groups = subject.layout.groups
        floors, multiples = tuple(group.floor for group in groups), tuple(group.multiple for group in groups)
        return Estimated(subject.estimate, floors, multiples)


ONE = (Run(None, 1),)
"""Of a layer that only makes channels, or only reads some."""


def _makers(subject: Subject) -> Iterator[tuple[str, nn.Module, tuple[Run, ...], tuple[Run, ...]]]:
    modules = dict(subject.model.named_modules())
    for layer in subject.layout.layers:
        module = modules.get(layer.name)
        if isinstance(module, MAKERS):
            yield layer.name, module, layer.ins or ONE, layer.outs


class _Table:
    """Gathers the rows of products.

    Args:
        layout: Of the network.

    Attributes:
        totals: What each layer costs in the seed network.
    """

    def __init__(self, layout: Layout):
        self.totals: list[float] = []
        self._layout = layout
        self._rows: list[tuple[float, Numbers, Numbers, float]] = []

    def add(self, total: float, ins: Sequence[Run], outs: Sequence[Run], is_twice: bool = False) -> None:
        """A layer that costs so much in the seed network."""
        read, made = self._row(ins), self._row(outs)
        full = np.append(np.asarray(self._layout.widths, dtype=np.float64), 1.0)
        coefficient = total / float((read @ full) * (made @ full))
        self.totals.append(total)
        self._rows.append((coefficient, read, made, 2.0 if is_twice else 1.0))

    def products(self, total: float) -> Products:
        """All of them, where the network costs so much in all."""
        coefficients, ins, outs, counted = zip(*self._rows, strict=True)
        rest = total - sum(self.totals)
        return Products(rest, np.array(coefficients), np.array(ins), np.array(outs), np.array(counted))

    def _row(self, runs: Sequence[Run]) -> Numbers:
        row = np.zeros(len(self._layout.groups) + 1)
        for run in runs:
            row[-1 if run.group is None else run.group] += run.count if run.group is None else run.copies
        return row


def _sizes(model: nn.Module, interface: Interface) -> dict[str, tuple[int, int]]:
    """Numbers that each module is fed and gives, for one example."""
    shapes, found, hooks = deepcopy(model).to("meta").eval(), dict[str, tuple[int, int]](), []
    for name, module in shapes.named_modules():
        if isinstance(module, MAKERS):

            def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
                before = found.get(name, (0, 0))
                found[name] = before[0] + args[0].numel(), before[1] + output.numel()

            hooks.append(module.register_forward_hook(hook))
    with torch.no_grad():
        shapes(*inputs_without_numbers(interface))
    return found
