"""Networks of cells: NASNet, PNASNet, AmoebaNet and every point of their spaces.

Source: tensorflow/models, slim/nets/nasnet (nasnet.py, pnasnet.py, nasnet_utils.py); tensorflow/tpu, amoeba_net
(network_utils.py). Differs: padding is symmetric, unless a spec says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.network.auxiliary import AuxiliaryHead, WithAuxiliary
from paretonas.network.drop_path import DropPath
from paretonas.network.padding import pad_same
from paretonas.space import Interface
from paretonas.space.cell import INPUTS, CellSpec, Place

T = TypeVar("T")

SETTINGS = {"cifar": {"momentum": 0.1, "eps": 1e-5}, "imagenet": {"momentum": 0.01, "eps": 1e-3}}
"""Of batch normalization, by skeleton. Differs: for ImageNet the released code has a momentum of .0003, which needs
hundreds of epochs."""


class CellNetwork(WithAuxiliary):
    """Stem, cells, global average pooling, classifier; the auxiliary one, if any, follows the second stack.

    Args:
        spec: What to build.
        interface: Images in, logits out.
        dropout: Before the classifier.
    """

    def __init__(self, spec: CellSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        is_large = spec.skeleton == "imagenet"
        conv = nn.Conv2d(interface.channels, spec.stem, 3, 2 if is_large else 1, 0 if is_large else 1, bias=False)
        self.stem = nn.Sequential(conv, nn.BatchNorm2d(spec.stem))
        self.cells, given = nn.ModuleList(), [Given(spec.stem, 0)]
        places = spec.places()
        self.is_skipping = [place.is_skipping for place in places]
        self.is_inserted = [place.is_inserted for place in places]
        for i, place in enumerate(places, 1):
            cell = CellModule(place, given[-1], _before(given, place.is_skipping), i / len(places))
            self.cells.append(cell)
            given.append(Given(cell.width, given[-1].halvings + (place.stride == 2)))
        self.activation = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(given[-1].width, interface.classes)
        self.auxiliary = None
        self._settings, self._middle, self._given = SETTINGS[spec.skeleton], spec.middle, given[spec.middle + 1]
        _set_norms(self, self._settings)
        if spec.padding == "same":
            pad_same(self)

    def add_auxiliary(self, interface: Interface) -> None:
        """Give it an auxiliary classifier, with fresh weights.

        Raises:
            SpecError: At its place the image is too small.
        """
        side = interface.inputs[0].shape[-1]
        side = (side - 1) // 2 if self.stem[0].stride == (2, 2) else side
        for _ in range(self._given.halvings):
            side = -(-side // 2)
        self.auxiliary = AuxiliaryHead(self._given.width, side, interface.classes)
        _set_norms(self.auxiliary, self._settings)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """(N, channels, H, W) to (N, classes)."""
        given = states(self.stem, self.cells, self.is_skipping, x)
        x = self.activation(given[-1])  # (N, C, h, w)
        logits = self.classifier(self.dropout(self.flatten(self.pool(x))))
        if self.training and self.auxiliary is not None:
            return logits, self.auxiliary(given[self._middle + 1])
        return logits


def states(stem: nn.Module, cells: Iterable[nn.Module], is_skipping: Sequence[bool], x: Tensor) -> list[Tensor]:
    """What the stem and each cell give.

    Args:
        stem: Of a network.
        cells: Of the same.
        is_skipping: Whether the previous input of each is an earlier one; see `Place`.
        x: Images (N, channels, H, W).
    """
    given = [stem(x)]
    for cell, skips in zip(cells, is_skipping, strict=True):
        previous = _before(given, skips)
        given.append(cell(given[-1], given[-1] if previous is None else previous))
    return given


def _set_norms(network: nn.Module, settings: Mapping[str, float]) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum, module.eps = settings["momentum"], settings["eps"]


@dataclass(frozen=True)
class Given:
    """What stem or a cell gives.

    Args:
        width: Channels.
        halvings: How often its sides were halved since the stem.
    """

    width: int
    halvings: int


def _before(given: list[T], is_skipping: bool) -> T | None:
    """The previous input of the next cell; None: there is none as yet."""
    back = 3 if is_skipping else 2
    return given[-back] if len(given) >= back else None


class CellModule(nn.Module):
    """One cell in its place.

    Args:
        place: Which cell, how wide, and of which stride.
        current: What the cell before gives.
        previous: What the one before that gives; None: the first cell takes the current input as it is.
        depth: Of it in its network, as a share.

    Attributes:
        width: Channels that it gives.
    """

    def __init__(self, place: Place, current: Given, previous: Given | None, depth: float = 1.0):
        super().__init__()
        cell, filters, stride = place.cell, place.filters, place.stride
        self.cell = cell
        self.current = _relu_conv_bn(current.width, filters, 1)
        self.previous = _fit(current, previous, filters)
        widths = [filters, current.width if previous is None else filters]
        self.ops, self.drop = nn.ModuleList(), DropPath(depth)
        for block in cell.blocks:
            for source, op in zip(block.inputs, block.ops, strict=True):
                self.ops.append(make_op(op, widths[source], filters, stride if source < len(INPUTS) else 1))
            widths.append(filters if block.combine == "add" else 2 * filters)
        self.outputs = nn.ModuleList()
        for state in cell.outputs:
            is_input = state < len(INPUTS)
            is_fitting = not is_input or (stride == 1 and widths[state] == filters)
            self.outputs.append(nn.Identity() if is_fitting else _reduction(widths[state], filters, stride))
        self.width = sum(filters if state < len(INPUTS) else widths[state] for state in cell.outputs)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        """(N, C, H, W) and what came before it to (N, width, ceil(H / stride), ceil(W / stride))."""
        states, ops = [self.current(current), self.previous(previous)], iter(self.ops)
        for block in self.cell.blocks:
            made = (next(ops)(states[source]) for source in block.inputs)
            one, two = (x if op == "identity" else self.drop(x) for x, op in zip(made, block.ops, strict=True))
            states.append(one + two if block.combine == "add" else torch.cat([one, two], dim=1))
        return torch.cat(
            [fit(states[state]) for fit, state in zip(self.outputs, self.cell.outputs, strict=True)], dim=1
        )


class FactorizedReduction(nn.Module):
    """Halves the sides: every second pixel, and every second one beside it, each give half of the channels."""

    def __init__(self, c_in: int, c_out: int):
        super().__init__()
        self.straight = nn.Conv2d(c_in, c_out // 2, 1, bias=False)
        self.shifted = nn.Conv2d(c_in, c_out - c_out // 2, 1, bias=False)
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, ceil(H / 2), ceil(W / 2))."""
        shifted = F.pad(x, (0, 1, 0, 1))[:, :, 1::2, 1::2]
        return self.norm(torch.cat([self.straight(x[:, :, ::2, ::2]), self.shifted(shifted)], dim=1))


class MaxPool2x2(nn.Module):
    """Of a pixel and those right of it and below."""

    def __init__(self, stride: int):
        super().__init__()
        self.pool = nn.MaxPool2d(2, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, ceil(H / stride), ceil(W / stride))."""
        return self.pool(F.pad(x, (0, 1, 0, 1), value=-torch.inf))


def make_op(op: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    """One op of a block."""
    if op == "identity":
        return nn.Identity() if stride == 1 and c_in == c_out else _relu_conv_bn(c_in, c_out, 1, stride)
    if op in POOLS:
        pool = POOLS[op](stride)
        return pool if c_in == c_out else nn.Sequential(pool, *_conv_bn(c_in, c_out, 1))
    return CONVOLUTIONS[op](c_in, c_out, stride)


def _fit(current: Given, previous: Given | None, filters: int) -> nn.Module:
    """Gives the previous input the sides of the current one, and `filters` channels."""
    if previous is None:
        return nn.Identity()
    if previous.halvings < current.halvings:
        return nn.Sequential(nn.ReLU(), FactorizedReduction(previous.width, filters))
    return nn.Identity() if previous.width == filters else _relu_conv_bn(previous.width, filters, 1)


def _reduction(c_in: int, c_out: int, stride: int) -> nn.Module:
    return nn.Sequential(*_conv_bn(c_in, c_out, 1)) if stride == 1 else FactorizedReduction(c_in, c_out)


def _conv_bn(
    c_in: int,
    c_out: int,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    dilation: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    padding = (dilation * (sides[0] // 2), dilation * (sides[1] // 2))
    conv = nn.Conv2d(c_in, c_out, sides, stride, padding, dilation, groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out)]


def _relu_conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.ReLU(), *_conv_bn(c_in, c_out, kernel, stride, dilation))


def _in_two(kernel: int) -> Callable[[int, int, int], nn.Module]:
    """A row, then a column."""

    def make(c_in: int, c_out: int, stride: int) -> nn.Module:
        row, column = _conv_bn(c_in, c_out, (1, kernel), (1, stride)), _conv_bn(c_out, c_out, (kernel, 1), (stride, 1))
        return nn.Sequential(nn.ReLU(), *row, nn.ReLU(), *column)

    return make


def _separable(kernel: int, dilation: int = 1) -> Callable[[int, int, int], nn.Module]:
    """Twice: depthwise and pointwise, with nothing between them."""

    def once(c_in: int, c_out: int, stride: int) -> list[nn.Module]:
        depthwise = _conv_bn(c_in, c_in, kernel, stride, dilation, groups=c_in)[0]
        return [nn.ReLU(), depthwise, *_conv_bn(c_in, c_out, 1)]

    return lambda c_in, c_out, stride: nn.Sequential(*once(c_in, c_out, stride), *once(c_out, c_out, 1))


def _bottleneck(inner: Callable[[int, int, int], nn.Module]) -> Callable[[int, int, int], nn.Module]:
    """A convolution of a quarter of the filters between two of 1x1."""

    def make(c_in: int, c_out: int, stride: int) -> nn.Module:
        reduced = c_out // 4
        middle = inner(reduced, reduced, stride)
        return nn.Sequential(_relu_conv_bn(c_in, reduced, 1), middle, _relu_conv_bn(reduced, c_out, 1))

    return make


def _full(kernel: int, dilation: int = 1) -> Callable[[int, int, int], nn.Module]:
    return lambda c_in, c_out, stride: _relu_conv_bn(c_in, c_out, kernel, stride, dilation)


def _max_pool(kernel: int) -> Callable[[int], nn.Module]:
    return lambda stride: nn.MaxPool2d(kernel, stride, kernel // 2)


POOLS: dict[str, Callable[[int], nn.Module]] = {
    "avg3x3": lambda stride: nn.AvgPool2d(3, stride, 1, count_include_pad=False),
    "max2x2": MaxPool2x2,
    "max3x3": _max_pool(3),
    "max5x5": _max_pool(5),
    "max7x7": _max_pool(7),
}
CONVOLUTIONS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "conv1x1": _full(1),
    "conv3x3": _full(3),
    "conv1x3_3x1": _in_two(3),
    "conv1x7_7x1": _in_two(7),
    "dil3x3": _full(3, dilation=2),
    "dil_sep3x3": _separable(3, dilation=2),
    "sep3x3": _separable(3),
    "sep5x5": _separable(5),
    "sep7x7": _separable(7),
    "bottleneck3x3": _bottleneck(_full(3)),
    "bottleneck1x7_7x1": _bottleneck(_in_two(7)),
}
