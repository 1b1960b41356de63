"""Which channels of a network belong together: of layers that are added or normalized together, and of what reads them.

The dependencies are torch-pruning's; what they say is sorted here into groups of channels that have one width, and into
the runs of channels that each layer reads and makes.

Source: Fang et al., DepGraph: Towards Any Structural Pruning, CVPR 2023.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from paretonas.errors import SpecError
from paretonas.network.dependents import Dependent, dependents, traced
from paretonas.network.layout import MAKERS, NORMS, Layer, Layout, Run, has_width, is_depthwise
from paretonas.space import Interface
from paretonas.space.widths import WidthGroup

INS, OUTS = "ins", "outs"
"""The sides of a layer."""


def find_layout(model: nn.Module, interface: Interface) -> Layout:
    """The groups of channels of a network, before anything was tried on it: none is removable.

    Args:
        model: Is left as it was.
        interface: What it is fed and gives.

    Raises:
        SpecError: It cannot be traced.
    """
    shapes = deepcopy(model).to("meta").requires_grad_(True)
    names = {id(thing): name for name, thing in (*shapes.named_modules(), *shapes.named_parameters())}
    graph = traced(shapes, interface)
    closures = _Closures(graph, names)
    return _sorted_out(closures, dict(shapes.named_modules()), closures.dims)


def _can_change(thing: Any) -> bool:
    """Whether the width of a module or parameter can be changed; what has no parameters has none."""
    if isinstance(thing, nn.LayerNorm):
        return len(thing.normalized_shape) == 1
    known = isinstance(thing, (*MAKERS, *NORMS, nn.Parameter))
    return known or not any(True for _ in thing.parameters(recurse=False))


def _channels(thing: Any, side: str, dim: int) -> int:
    """How many a module, or a parameter with its channels along `dim`, reads or makes."""
    if isinstance(thing, nn.Parameter):
        return int(thing.shape[dim])
    if isinstance(thing, nn.LayerNorm):
        return int(thing.normalized_shape[0])
    names: tuple[str, ...] = ("num_features", "num_channels", "num_parameters")
    if isinstance(thing, MAKERS):
        names = ("in_features", "in_channels") if side == INS else ("out_features", "out_channels")
    return next(int(getattr(thing, name)) for name in names if hasattr(thing, name))


class _Closures:
    """Sets of channels of which one cannot go without the others.

    Attributes:
        members: Closure -> (layer, side) -> its channels and, for each, the place within the closure.
        sizes: Channels of each closure.
        channels: (layer, side) -> how many there are.
        reasons: Closure -> why its width stays, where it does.
        dims: Of parameters.
    """

    def __init__(self, graph: Any, names: Mapping[int, str]):
        self.members: list[dict[tuple[str, str], list[tuple[int, int]]]] = []
        self.sizes: list[int] = []
        self.channels: dict[tuple[str, str], int] = {}
        self.reasons: dict[int, str] = {}
        self.dims: dict[str, int] = {}
        self._names = names
        covered: dict[int, set[int]] = defaultdict(set)
        for module in [m for m in graph.module2node if isinstance(m, MAKERS) and not is_depthwise(m)]:
            channels = module.weight.shape[0]
            free = [i for i in range(channels) if i not in covered[id(module)]]
            if free:
                self._add(dependents(graph, module, free), free, covered)

    def _add(self, found: Sequence[Dependent], free: Sequence[int], covered: dict[int, set[int]]) -> None:
        number, members = len(self.members), defaultdict[tuple[str, str], list[tuple[int, int]]](list)
        place = {channel: i for i, channel in enumerate(free)}
        self.sizes.append(len(free))
        for item in found:
            node, module = item.node, item.node.module
            has_two = isinstance(module, MAKERS) and not is_depthwise(module)
            is_read = has_two and not item.is_made
            if not (node.outputs or is_read):
                self.reasons.setdefault(number, "the network gives what it makes")
            name = self._names.get(id(module))
            if name is None:
                continue  # an addition, a concatenation
            if not _can_change(module):
                self.reasons.setdefault(number, f"{name}, a {type(module).__name__}, comes in one width")
            if not has_width(module):
                continue
            if isinstance(module, nn.Parameter):
                self.dims[name] = node.pruning_dim
            side = INS if is_read else OUTS
            count = self.channels.setdefault((name, side), _channels(module, side, self.dims.get(name, 0)))
            if max(channel for channel, _ in item.pairs) >= count:
                self.reasons.setdefault(number, f"its channels cannot be followed to {name}")
            members[name, side] += [(channel, place[root]) for channel, root in item.pairs]
            if has_two and side == OUTS:
                covered[id(module)] |= {channel for channel, _ in item.pairs}
        self.members.append(dict(members))


def _sorted_out(closures: _Closures, modules: Mapping[str, nn.Module], dims: Mapping[str, int]) -> Layout:
    """The layout of what belongs together."""
    owners: dict[tuple[str, str], NDArray[np.int64]] = {}
    order = {name: i for i, name in enumerate((*modules, *dims))}
    groups: list[tuple[str, int]] = []
    fixed: dict[str, str] = {}
    makers = [_makers(members, order) for members in closures.members]
    for number in sorted(range(len(makers)), key=lambda i: order[makers[i][0]]):
        members, name = closures.members[number], makers[number][0]
        if number in closures.reasons:
            fixed[name] = closures.reasons[number]
            continue
        kind_of, counts = _kinds(members, closures.sizes[number])
        first = len(groups)
        groups += zip(_names(members, makers[number], kind_of, len(counts)), counts, strict=True)
        place = np.zeros(len(kind_of), dtype=np.int64)
        for kind in range(len(counts)):
            place[kind_of == kind] = np.arange(counts[kind])
        for side, pairs in members.items():
            channels, roots = np.array(sorted(set(pairs))).T
            owner = owners.setdefault(side, np.full((closures.channels[side], 2), -1))
            owner[channels, 0], owner[channels, 1] = kind_of[roots] + first, place[roots]
    return _laid_out(owners, modules, dims, groups, fixed)


def _makers(members: Mapping[tuple[str, str], Any], order: Mapping[str, int]) -> list[str]:
    return sorted((name for name, side in members if side == OUTS and name in order), key=order.__getitem__)


def _names(
    members: Mapping[tuple[str, str], Sequence[tuple[int, int]]],
    makers: Sequence[str],
    kind_of: NDArray[np.int64],
    kinds: int,
) -> list[str]:
    """Of each kind of channels the first layer that makes some, with a number where an earlier kind has that name."""
    names: list[str] = []
    for kind in range(kinds):
        made = [name for name in makers if any(kind_of[root] == kind for _, root in members.get((name, OUTS), ()))]
        free = [name for name in made if name not in names]
        names.append(free[0] if free else f"{made[0]}#{kind + 1}")
    return names


def _kinds(members: Mapping[tuple[str, str], list[tuple[int, int]]], size: int) -> tuple[NDArray[Any], list[int]]:
    """Channels of a closure by the layers that they go through: the kind of each, and how many there are of each."""
    seen = np.zeros((len(members), size), dtype=np.int64)
    for row, pairs in enumerate(members.values()):
        np.add.at(seen[row], [root for _, root in set(pairs)], 1)
    _, first, kind, counts = np.unique(seen, axis=1, return_index=True, return_inverse=True, return_counts=True)
    rank = np.argsort(np.argsort(first))  # in the order of the channels
    return rank[kind.reshape(-1)], [int(counts[i]) for i in np.argsort(first)]


def _laid_out(
    owners: Mapping[tuple[str, str], NDArray[np.int64]],
    modules: Mapping[str, nn.Module],
    dims: Mapping[str, int],
    groups: list[tuple[str, int]],
    fixed: dict[str, str],
) -> Layout:
    runs = {side: tuple(_runs(owner, groups)) for side, owner in owners.items()}
    multiples = [1] * len(groups)
    for (name, _), side_runs in runs.items():
        inner = getattr(modules.get(name), "num_groups", getattr(modules.get(name), "groups", 1))
        if inner > 1 and not is_depthwise(modules[name]):
            for run in side_runs:
                if run.group is not None:
                    multiples[run.group] = int(np.lcm(multiples[run.group], inner))
    layers = []
    for name in (*modules, *dims):
        ins, outs = runs.get((name, INS), ()), runs.get((name, OUTS), ())
        if not (ins or outs):
            continue
        module = modules.get(name)
        if module is not None and isinstance(module, MAKERS) and not is_depthwise(module):
            ins = ins or (Run(None, _channels(module, INS, 0)),)
            outs = outs or (Run(None, _channels(module, OUTS, 0)),)
        layers.append(Layer(name, ins, outs, dims.get(name, 0)))
    found = tuple(WidthGroup(name, width, multiple) for (name, width), multiple in zip(groups, multiples, strict=True))
    return Layout(found, tuple(layers), fixed)


def _runs(owner: NDArray[np.int64], groups: Sequence[tuple[str, int]]) -> Iterator[Run]:
    """Channels of a side as runs.

    Raises:
        SpecError: Channels of a group are not one after the other.
    """
    begin = 0
    while begin < len(owner):
        group = int(owner[begin, 0])
        if group < 0:
            end = begin + int(np.argmax(np.append(owner[begin:, 0] >= 0, True)))
            yield Run(None, end - begin)
        else:
            width = groups[group][1]
            copies = int(np.argmax(np.append((owner[begin:] != owner[begin]).any(axis=1), True)))
            end = begin + width * copies
            wanted = np.repeat(np.arange(width), copies)
            part = owner[begin:end]
            if len(part) < len(wanted) or (part[:, 0] != group).any() or (part[:, 1] != wanted).any():
                raise SpecError(
                    f"Channels whose number is changed follow one another, but those of {groups[group][0]!r} are mixed "
                    "with others where they are read."
                )
            yield Run(group, end - begin, copies)
        begin = end
