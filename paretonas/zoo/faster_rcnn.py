"""Faster R-CNN with FPN.

Source: Ren et al., Faster R-CNN, NeurIPS 2015; Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017,
section 5.2; torchvision's faster_rcnn.py. Differs: what is made for small devices is the default here: MobileNetV2,
fewer filters, depthwise separable convolutions, normalizations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from paretonas.space import Spec
from paretonas.space.detector import REGION_LEVELS, DetectorSpec, NeckSpec, RegionSpec
from paretonas.zoo.foreign import backbone_spec
from paretonas.zoo.zoo import Published


@dataclass(frozen=True)
class FasterRCNN(Published):
    """Faster R-CNN with FPN; MobileNetV2, or any classifier of the zoo or of timm's, is its backbone.

    Args:
        backbone: `timm:NAME`, or a network of the zoo with MobileNetV2's blocks.
        width: Of a backbone of the zoo.
        filters: Of the pyramid; published: 256.
        separable: Whether neck and first stage have depthwise separable convolutions; published: no.
        normalized: Whether the neck has normalizations; published: no.
        candidates: Of a level, of which those are left that overlap no better one.
        proposals: Regions that the second stage looks at; published: 1000.
        box_filters: Of the second stage's two layers; published: 1024.
    """

    published_resolution: ClassVar[int] = 320
    backbone: str = "mobilenet-v2"
    width: float = 1.0
    filters: int = 64
    separable: bool = True
    normalized: bool = True
    candidates: int = 200
    proposals: int = 100
    box_filters: int = 256

    def spec(self) -> Spec:
        neck = NeckSpec(self.filters, REGION_LEVELS, (), 1, self.separable, self.normalized)
        regions = RegionSpec(self.candidates, self.proposals, self.box_filters)
        return DetectorSpec(backbone_spec(self.backbone, self.width), "faster-rcnn", neck, regions=regions)
