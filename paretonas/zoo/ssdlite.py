"""SSDLite on MnasNet and MobileNetV2.

Source: Sandler et al., MobileNetV2, CVPR 2018, section 6.2; Tan et al., MnasNet, CVPR 2019, section 6.3 (A1 at 320
pixels: 4.9 M parameters, 0.8 B multiply-adds, AP 23.0 on COCO).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from paretonas.space import Spec
from paretonas.space.detector import DetectorSpec
from paretonas.zoo.foreign import backbone_spec
from paretonas.zoo.zoo import Published


@dataclass(frozen=True)
class SSDLite(Published):
    """SSDLite; MnasNet-A1, or any classifier of the zoo or of timm's, is its backbone.

    Args:
        backbone: `timm:NAME`, or a network of the zoo with MobileNetV2's blocks.
        width: Of a backbone of the zoo.
        last_filters: Of a 1x1 convolution after the backbone.
    """

    published_resolution: ClassVar[int] = 320
    backbone: str = "mnasnet-a1"
    width: float = 1.0
    last_filters: int = 1280

    def spec(self) -> Spec:
        backbone = backbone_spec(self.backbone, self.width)
        return DetectorSpec(backbone, "ssdlite", last_filters=self.last_filters)
