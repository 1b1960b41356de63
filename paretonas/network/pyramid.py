"""Pyramids of features: FPN's top-down path, and NAS-FPN's stacks of merging cells.

Source: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017; Ghiasi et al., NAS-FPN: Learning Scalable
Feature Pyramid Architecture for Object Detection, CVPR 2019, section 3.1; tensorflow/tpu, models/official/detection
(nasfpn.py). Differs: padding is symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.space.detector import MergingCell, NeckSpec


def convolution(c_in: int, c_out: int, kernel: int, is_separable: bool) -> list[nn.Module]:
    """A convolution with a bias, or a depthwise and a pointwise one."""
    if not is_separable:
        return [nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)]
    depthwise = nn.Conv2d(c_in, c_in, kernel, padding=kernel // 2, groups=c_in, bias=False)
    return [depthwise, nn.Conv2d(c_in, c_out, 1)]


def conv_norm(c_in: int, kernel: int, spec: NeckSpec, is_separable: bool = False) -> list[nn.Module]:
    """A convolution to the neck's filters, and its normalization where the neck has such."""
    norm = [nn.BatchNorm2d(spec.filters)] if spec.is_normalized else []
    return [*convolution(c_in, spec.filters, kernel, is_separable), *norm]


def by_anchor(x: Tensor, numbers: int) -> Tensor:
    """(N, anchors * numbers, h, w) to (N, h * w * anchors, numbers), place by place."""
    return torch.flatten(x.permute(0, 2, 3, 1), 1).unflatten(1, (-1, numbers))


class Neck(nn.Module):
    """The levels of a pyramid from the ends of a backbone's stages; coarser ones are pooled from the last.

    Args:
        spec: What to build.
        strides: Of the features that come.
        filters: Of each.

    Raises:
        SpecError: The finest level has no feature of its stride.
    """

    def __init__(self, spec: NeckSpec, strides: Sequence[int], filters: Sequence[int]):
        super().__init__()
        wanted = [2**level for level in spec.levels]
        self.taken = [i for i, stride in enumerate(strides) if stride in wanted]
        if not self.taken or [strides[i] for i in self.taken] != wanted[: len(self.taken)]:
            raise SpecError(
                f"A backbone has stages of the strides {wanted[0]}, {wanted[1]}, … that its neck begins with, but got "
                f"{tuple(strides)}."
            )
        self.laterals = nn.ModuleList(nn.Sequential(*conv_norm(filters[i], 1, spec)) for i in self.taken)
        self.pools = nn.ModuleList(nn.MaxPool2d(2, 2) for _ in wanted[len(self.taken) :])
        stack = MergingStack if spec.cells else TopDown
        self.stacks = nn.ModuleList(stack(spec) for _ in range(spec.stacks))

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(N, C, h, w) of each stage to (N, filters, h, w) of each level."""
        levels = [lateral(features[i]) for lateral, i in zip(self.laterals, self.taken, strict=True)]
        for pool in self.pools:
            levels.append(pool(levels[-1]))
        for stack in self.stacks:
            levels = stack(levels)
        return tuple(levels)


class TopDown(nn.Module):
    """FPN: what is coarser is enlarged and added, then every level goes through a 3x3 convolution."""

    def __init__(self, spec: NeckSpec):
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2, mode="nearest")
        self.convs = nn.ModuleList(
            nn.Sequential(*conv_norm(spec.filters, 3, spec, spec.is_separable)) for _ in spec.levels
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The levels, from the finest, to the same."""
        summed = [levels[-1]]
        for level in reversed(levels[:-1]):
            summed.append(level + self.enlarge(summed[-1]))
        return [conv(level) for conv, level in zip(self.convs, reversed(summed), strict=True)]


class MergingStack(nn.Module):
    """Merging cells, one after the other.

    A feature that no cell takes is added to what is given of its level, before the convolution.
    """

    def __init__(self, spec: NeckSpec):
        super().__init__()
        self.cells, self.inputs, self.dangling = nn.ModuleList(), [], []
        levels = list(spec.levels)
        is_free = [True] * len(levels)
        first = len(spec.cells) - len(spec.levels)
        for i, cell in enumerate(spec.cells):
            for taken in cell.inputs:
                is_free[taken] = False
            dangling = [k for k, free in enumerate(is_free) if free and levels[k] == cell.level] if i >= first else []
            for k in dangling:
                is_free[k] = False
            sources = tuple(levels[k] for k in cell.inputs)
            self.cells.append(MergingModule(cell, sources, spec))
            self.inputs.append(cell.inputs)
            self.dangling.append(dangling)
            levels.append(cell.level)
            is_free.append(True)
        outputs = {cell.level: len(spec.levels) + first + i for i, cell in enumerate(spec.cells[first:])}
        self.outputs = [outputs[level] for level in spec.levels]

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The levels, from the finest, to the same."""
        features = list(levels)
        for cell, inputs, dangling in zip(self.cells, self.inputs, self.dangling, strict=True):
            features.append(cell(*(features[k] for k in inputs), *(features[k] for k in dangling)))
        return [features[k] for k in self.outputs]


class MergingModule(nn.Module):
    """One merging cell: both features brought to its level, merged, ReLU, 3x3 convolution, normalization.

    Args:
        cell: What it does.
        sources: Levels of its two inputs.
        spec: Of the neck.
    """

    def __init__(self, cell: MergingCell, sources: tuple[int, ...], spec: NeckSpec):
        super().__init__()
        one, two = (resampled(source, cell.level) for source in sources)
        self.one, self.two = one, two
        self.op = cell.op
        self.is_first_coarse = sources[0] >= sources[1]
        self.body = nn.Sequential(nn.ReLU(), *conv_norm(spec.filters, 3, spec, spec.is_separable))

    def forward(self, one: Tensor, two: Tensor, *others: Tensor) -> Tensor:
        """Two features, and others of the cell's own level that are added, to (N, filters, h, w)."""
        a, b = self.one(one), self.two(two)
        if self.op == "sum":
            merged = a + b
        else:
            coarse, fine = (a, b) if self.is_first_coarse else (b, a)
            merged = coarse + fine * torch.sigmoid(torch.amax(coarse, dim=(2, 3), keepdim=True))
        for other in others:
            merged = merged + other
        return self.body(merged)


def resampled(source: int, level: int) -> nn.Module:
    """Brings a feature of one level to the sides of another: nearest neighbours, or the largest."""
    if source == level:
        return nn.Identity()
    factor = 2 ** abs(source - level)
    if source > level:
        return nn.Upsample(scale_factor=factor, mode="nearest")
    return nn.MaxPool2d(factor, factor)
