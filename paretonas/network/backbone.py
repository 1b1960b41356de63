"""Classifiers without their last layers: the features at the ends of their stages, which detectors look at."""

from __future__ import annotations

import operator
import re
from itertools import accumulate
from typing import Any

from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.network.cell import CellNetwork, states
from paretonas.network.foreign import timm_features
from paretonas.network.mnasnet import MnasNet
from paretonas.network.shufflenet import ShuffleNet
from paretonas.registry import Registry
from paretonas.space import ForeignSpec, Interface, Spec
from paretonas.space.cell import CellSpec
from paretonas.space.mnasnet import MnasNetSpec
from paretonas.space.shufflenet import ShuffleNetSpec
from paretonas.space.trust import TIMM

ANY_CLASSES = 2
"""Of the classifier that is left out."""

backbones = Registry(
    "backbone",
    {
        "cell": "paretonas.network.backbone:CellBackbone",
        "foreign": "paretonas.network.backbone:TimmBackbone",
        "mnasnet": "paretonas.network.backbone:MnasNetBackbone",
        "shufflenet": "paretonas.network.backbone:ShuffleNetBackbone",
    },
)
"""Kind of spec -> a callable that takes the spec and the channels of the images, and gives a `Backbone`."""


class Backbone(nn.Module):
    """A network from images to the features at the ends of its stages.

    Attributes:
        strides: Of these features, rising.
        filters: Of each.
    """

    strides: tuple[int, ...]
    filters: tuple[int, ...]

    def in_classifier(self, name: str) -> str:
        """The name that a tensor of it has in the classifier."""
        return name

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, channels, H, W) to (N, filters, ceil(H / stride), ceil(W / stride)) each."""
        raise NotImplementedError


def make_backbone(spec: Spec, channels: int) -> Backbone:
    """The backbone that a classifier makes.

    Raises:
        SpecError: It has no stages that are known.
    """
    if spec.kind not in backbones:
        raise SpecError(f"A backbone is a network of kind {', '.join(backbones)}, but got {spec.kind!r}.")
    backbone: Backbone = backbones.load(spec.kind)(spec, channels)
    return backbone


class Blocks(Backbone):
    """Stem and blocks, one after the other; a stage ends before a block with a stride.

    Args:
        spec: Of a classifier whose parts are a stem and blocks.
        network: Its modules `stem` and `blocks`.
    """

    def __init__(self, spec: Spec, network: nn.Module):
        super().__init__()
        self.stem, blocks_of_network = network.get_submodule("stem"), network.get_submodule("blocks")
        assert isinstance(blocks_of_network, nn.Sequential)
        self.blocks = blocks_of_network
        self.ends, self.strides, self.filters = stage_ends(spec, "blocks.")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        given = [self.stem(x)]
        for block in self.blocks:
            given.append(block(given[-1]))
        return tuple(given[end] for end in self.ends)


def stage_ends(spec: Spec, prefix: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The parts after which the stages of a classifier end, their strides and their filters.

    Args:
        spec: Of a network whose parts are a stem, what follows it, and a head.
        prefix: Of the modules that follow the stem, which is part 0.
    """
    parts = [part for part in spec.parts() if part.modules[0].startswith(("stem", prefix))]
    strides = list(accumulate((part.stride for part in parts), operator.mul))
    ends = [i for i, part in enumerate(parts[1:]) if part.stride > 1] + [len(parts) - 1]
    return tuple(ends), tuple(strides[end] for end in ends), tuple(parts[end].filters or 0 for end in ends)


def MnasNetBackbone(spec: MnasNetSpec, channels: int) -> Backbone:  # noqa: N802
    """Of a network of the MnasNet family, without its head."""
    return Blocks(spec, MnasNet(spec, Interface.of_images(channels, 32, ANY_CLASSES)))


class CellBackbone(Backbone):
    """Of a network of cells: NASNet, PNASNet, AmoebaNet."""

    def __init__(self, spec: CellSpec, channels: int):
        super().__init__()
        network = CellNetwork(spec, Interface.of_images(channels, 224, ANY_CLASSES))
        self.stem, self.cells, self.is_skipping = network.stem, network.cells, network.is_skipping
        self.ends, self.strides, self.filters = stage_ends(spec, "cells.")

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        given = states(self.stem, self.cells, self.is_skipping, x)
        return tuple(given[end] for end in self.ends)


def ShuffleNetBackbone(spec: ShuffleNetSpec, channels: int) -> Backbone:  # noqa: N802
    """Of a network of DetNAS's space, without its head."""
    return Blocks(spec, ShuffleNet(spec, Interface.of_images(channels, 32, ANY_CLASSES)))


class TimmBackbone(Backbone):
    """A model of timm's that gives its features."""

    def __init__(self, spec: ForeignSpec, channels: int):
        super().__init__()
        module, _, name = spec.source.partition(":")
        if module != TIMM or spec.strides_dropped:
            raise SpecError(f"A foreign backbone is a model of timm's, with all its strides, but got {spec}.")
        self.model = timm_features(name, channels)
        info: Any = self.model.feature_info
        self.strides, self.filters = tuple(info.reduction()), tuple(info.channels())

    def in_classifier(self, name: str) -> str:
        """Rows of stages are taken apart by timm: `stages_0.x` is `stages.0.x` there."""
        return re.sub(r"^(features|\w+(?=_\d+\.))_", r"\1.", name.removeprefix("model."))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(x))
