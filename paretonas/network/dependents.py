"""What goes with the channels of a layer, as torch-pruning follows them through a network.

Source: Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network.shapes import inputs_without_numbers
from paretonas.registry import blamed
from paretonas.space import Interface

FEW = 8
"""Channels that are asked for one by one."""


def traced(shapes: nn.Module, interface: Interface) -> Any:
    """The graph of a network without numbers.

    Raises:
        SpecError: It cannot be traced.
    """
    import torch_pruning

    inputs = inputs_without_numbers(interface)
    what = "A network whose widths are changed is traced, but this one cannot be"
    with warnings.catch_warnings(), torch.enable_grad(), blamed(what, SpecError):
        warnings.simplefilter("ignore")
        return torch_pruning.DependencyGraph().build_dependency(shapes, inputs, _forward, verbose=False)


def _forward(model: nn.Module, inputs: tuple[Any, ...]) -> Any:
    return model(*inputs)


@dataclass(frozen=True)
class Dependent:
    """What goes with channels of a layer.

    Args:
        node: Of torch-pruning's graph.
        is_made: Whether its output changes.
        pairs: A channel of it, and the channel of the layer that it goes with.
    """

    node: Any
    is_made: bool
    pairs: Sequence[tuple[int, int]]


def dependents(graph: Any, module: nn.Module, channels: Sequence[int]) -> list[Dependent]:
    """What goes with these channels of a layer.

    Where the first, the middle and the last one agree on what goes with them, and lie where equal steps would have
    them, so do those between: torch-pruning's lists are long where images are flattened.
    """
    some = (channels[0], channels[len(channels) // 2], channels[-1])
    is_row = len(channels) > FEW and channels[-1] - channels[0] == len(channels) - 1
    found = _asked(graph, module, some if is_row else channels)
    if not is_row:
        return found
    rows = [_filled(one.pairs, some, channels) for one in found]
    if not all(rows):
        return _asked(graph, module, channels)
    return [Dependent(one.node, one.is_made, row) for one, row in zip(found, rows, strict=True)]


def _asked(graph: Any, module: nn.Module, channels: Sequence[int]) -> list[Dependent]:
    group = graph.get_pruning_group(module, graph.get_pruner_of_module(module).prune_out_channels, list(channels))
    return [
        Dependent(
            item.dep.target,
            graph.is_out_channel_pruning_fn(item.dep.handler),
            list(zip(item.idxs, item.root_idxs, strict=True)),
        )
        for item in group
    ]


def _filled(
    pairs: Sequence[tuple[int, int]], some: tuple[int, int, int], channels: Sequence[int]
) -> list[tuple[int, int]]:
    """The pairs of all channels from those of some; none where they do not lie in equal steps."""
    first, middle, last = (np.array(sorted(i for i, root in pairs if root == one)) for one in some)
    if not len(first) == len(middle) == len(last) > 0:
        return []
    step, rest = divmod(int(last[0] - first[0]), some[2] - some[0])
    is_even = not rest and (last - first == step * (some[2] - some[0])).all()
    if not (is_even and (middle - first == step * (some[1] - some[0])).all()):
        return []
    return [(int(place), channel) for channel in channels for place in first + step * (channel - channels[0])]
