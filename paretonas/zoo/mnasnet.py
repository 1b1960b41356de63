"""MnasNets.

Source: tensorflow/tpu, models/official/mnasnet/mnasnet_models.py; Tan et al., MnasNet, CVPR 2019, table 6 for the
variants of A1 of a single op.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import ClassVar

from paretonas.errors import SpecError
from paretonas.space.mnasnet import Activation, BlockSpec, MnasNetSpec, Skip
from paretonas.zoo.zoo import Published

_STRING = re.compile(r"r(\d+)_k(\d+)_s(\d)\3_e(\d+)_o(\d+)(?:_se([\d.]+))?(_noskip)?$")


def read_block(text: str) -> BlockSpec:
    """A block in the notation of the released code, without the input width.

    Raises:
        SpecError: Not in that notation.

    >>> read_block("r3_k5_s22_e3_o40_se0.25").layers
    3
    """
    parts = _STRING.match(text)
    if parts is None:
        raise SpecError(f"A block string looks like r3_k5_s22_e3_o40_se0.25_noskip, but got {text!r}.")
    layers, kernel, stride, expansion, filters = map(int, parts.groups()[:5])
    skip: Skip = "none" if parts[7] else "identity"
    return BlockSpec("mbconv", kernel, filters, layers, stride, expansion, float(parts[6] or 0), skip)


def read_network(blocks: str, stem_filters: int = 32, activation: Activation = "relu") -> MnasNetSpec:
    """A network from the strings of its blocks."""
    return MnasNetSpec(tuple(map(read_block, blocks.split())), stem_filters, activation=activation)


@dataclass(frozen=True)
class MnasNetFamily(Published):
    """A network of seven blocks.

    Args:
        width: Multiplier of the filters of stem and blocks.
        resolution: Side of the images in pixels: below 128 the first strides are dropped. None: as published.

    Raises:
        SpecError: A width that is not in (0, 10].
    """

    width: float = 1.0
    resolution: int | None = None
    published: ClassVar[MnasNetSpec]

    def spec(self) -> MnasNetSpec:
        return self.published.scaled(self.width, resolution=self.resolution)


class MnasNetA1(MnasNetFamily):
    """MnasNet-A1, with squeeze-and-excitation: ImageNet top-1 75.2 %."""

    published = read_network(
        "r1_k3_s11_e1_o16_noskip r2_k3_s22_e6_o24 r3_k5_s22_e3_o40_se0.25 r4_k3_s22_e6_o80 "
        "r2_k3_s11_e6_o112_se0.25 r3_k5_s22_e6_o160_se0.25 r1_k3_s11_e6_o320"
    )


class MnasNetB1(MnasNetFamily):
    """MnasNet-B1, without squeeze-and-excitation: ImageNet top-1 74.5 %."""

    published = read_network(
        "r1_k3_s11_e1_o16_noskip r3_k3_s22_e3_o24 r3_k5_s22_e3_o40 r3_k5_s22_e6_o80 r2_k3_s11_e6_o96 "
        "r4_k5_s22_e6_o192 r1_k3_s11_e6_o320_noskip"
    )


class MnasNetSmall(MnasNetFamily):
    """MnasNet-small, searched for 22 ms on a Pixel 1: ImageNet top-1 66.0 %."""

    published = read_network(
        "r1_k3_s11_e1_o8_noskip r1_k3_s22_e3_o16 r2_k3_s22_e6_o16 r4_k5_s22_e6_o32_se0.25 "
        "r3_k3_s11_e6_o32_se0.25 r3_k5_s22_e6_o88_se0.25 r1_k3_s11_e6_o144",
        stem_filters=8,
    )


class MnasNetD1(MnasNetFamily):
    """MnasNet-D1, backbone of MnasFPN."""

    published = read_network(
        "r1_k3_s11_e9_o24 r3_k3_s22_e9_o36 r5_k3_s22_e9_o48 r4_k5_s22_e9_o96 r5_k7_s11_e3_o96 "
        "r3_k3_s22_e9_o80 r1_k7_s11_e6_o320_noskip"
    )


class MnasNetD1For320(MnasNetFamily):
    """MnasNet-D1 for images of 320 pixels."""

    published_resolution = 320
    published = read_network(
        "r3_k5_s11_e6_o24 r4_k7_s22_e9_o36 r5_k5_s22_e9_o48 r5_k7_s22_e6_o96 r5_k3_s11_e9_o144 "
        "r5_k5_s22_e6_o160 r1_k7_s11_e9_o320"
    )


def _a1_of_one_op(expansion: int, kernel: int) -> MnasNetSpec:
    """MnasNet-A1 with one op in all blocks but the first, and no squeeze-and-excitation."""
    first, *others = MnasNetA1.published.blocks
    same = (replace(block, expansion=expansion, kernel=kernel, se_ratio=0.0) for block in others)
    return replace(MnasNetA1.published, blocks=(first, *same))


class MBConv3K3(MnasNetFamily):
    """MnasNet-A1 of MBConv3 3x3 alone: the ablation of its diversity of layers."""

    published = _a1_of_one_op(3, 3)


class MBConv3K5(MnasNetFamily):
    """MnasNet-A1 of MBConv3 5x5 alone: the ablation of its diversity of layers."""

    published = _a1_of_one_op(3, 5)


class MBConv6K3(MnasNetFamily):
    """MnasNet-A1 of MBConv6 3x3 alone: the ablation of its diversity of layers."""

    published = _a1_of_one_op(6, 3)


class MBConv6K5(MnasNetFamily):
    """MnasNet-A1 of MBConv6 5x5 alone: the ablation of its diversity of layers."""

    published = _a1_of_one_op(6, 5)
