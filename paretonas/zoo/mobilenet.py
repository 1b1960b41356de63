"""MobileNetV2, as a network of the MnasNet family.

Source: Sandler et al., MobileNetV2, CVPR 2018, table 2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from paretonas.space.mnasnet import MnasNetSpec
from paretonas.zoo.mnasnet import read_network
from paretonas.zoo.zoo import Published

MOBILENET_V2 = read_network(
    "r1_k3_s11_e1_o16 r2_k3_s22_e6_o24 r3_k3_s22_e6_o32 r4_k3_s22_e6_o64 r3_k3_s11_e6_o96 "
    "r3_k3_s22_e6_o160 r1_k3_s11_e6_o320",
    activation="relu6",
)


@dataclass(frozen=True)
class MobileNetV2(Published):
    """MobileNetV2, the skeleton of the MnasNet space: ImageNet top-1 72.0 %.

    Args:
        width: Multiplier of the filters; above 1 the head grows too.
        resolution: Side of the images in pixels: below 128 the first strides are dropped. None: as published.

    Raises:
        SpecError: A width that is not in (0, 10].
    """

    width: float = 1.0
    resolution: int | None = None

    def spec(self) -> MnasNetSpec:
        spec = MOBILENET_V2.scaled(self.width, resolution=self.resolution)
        return replace(spec, head_filters=int(1280 * self.width + 4) // 8 * 8) if self.width > 1 else spec
