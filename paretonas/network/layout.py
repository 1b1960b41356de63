"""The widths of a network: groups of channels that have one width, and what each layer reads and makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from torch import nn

from paretonas.space.widths import WidthGroup

MAKERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.PReLU)
"""What can be made wider and narrower: layers that make channels, and those that pass them on."""


@dataclass(frozen=True)
class Run:
    """Channels of one group, one after the other.

    Args:
        group: Its place among the groups; None: their number stays.
        count: How many in the seed network, all copies counted.
        copies: Of each channel: several where images are flattened.
    """

    group: int | None
    count: int
    copies: int = 1

    def width(self, widths: Sequence[float]) -> float:
        """How many there are where the groups have these widths."""
        return self.count if self.group is None else widths[self.group] * self.copies


@dataclass(frozen=True)
class Removal:
    """A module that goes, and what takes its place.

    Args:
        path: Of the module.
        what: `identity`: what it is fed; or `zeros`.
        gives: Channels of the zeros, where the module is fed images of other channels; none: it is fed as many.
    """

    path: str
    what: Literal["identity", "zeros"]
    gives: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Layer:
    """What a module, or a parameter that is no module's of PyTorch, reads and makes.

    Args:
        name: Dotted path.
        ins: What it reads, channel by channel; none: it passes on what it is fed.
        outs: What it makes, or passes on.
        dim: The side of a parameter along which the channels lie; 0 of a module.
    """

    name: str
    ins: tuple[Run, ...]
    outs: tuple[Run, ...]
    dim: int = 0

    @property
    def groups(self) -> set[int]:
        """Those that it reads or makes."""
        return {run.group for run in (*self.ins, *self.outs) if run.group is not None}


@dataclass(frozen=True)
class Layout:
    """The widths of a network.

    Args:
        groups: In the order of the layers that make them.
        layers: Those that read or make channels of a group, in the order of the modules.
        fixed: Layers whose widths stay, and why.
        removals: Group -> the module that goes where its width is 0, and what takes its place; see `removing.py`.
    """

    groups: tuple[WidthGroup, ...]
    layers: tuple[Layer, ...]
    fixed: Mapping[str, str]
    removals: Mapping[int, Removal] = field(default_factory=dict)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the seed network."""
        return tuple(group.width for group in self.groups)

    def resized(self, widths: Sequence[int]) -> Layout:
        """That of the network in other widths; what is said of removals is of the seed's."""

        def changed(runs: tuple[Run, ...]) -> tuple[Run, ...]:
            return tuple(replace(run, count=int(run.width(widths))) for run in runs)

        groups = (replace(group, width=width) for group, width in zip(self.groups, widths, strict=True))
        layers = (replace(layer, ins=changed(layer.ins), outs=changed(layer.outs)) for layer in self.layers)
        return replace(self, groups=tuple(groups), layers=tuple(layers))


def has_width(thing: object) -> bool:
    """Whether a module or parameter makes or passes on channels of which it has a number for each."""
    is_single = isinstance(thing, nn.PReLU) and thing.num_parameters == 1
    return isinstance(thing, (*MAKERS, *NORMS, nn.Parameter)) and not is_single


def is_depthwise(module: nn.Module) -> bool:
    """Whether a convolution has a filter for each channel."""
    return isinstance(module, MAKERS[:3]) and module.groups == module.in_channels == module.out_channels > 1
