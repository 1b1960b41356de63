"""RetinaNet, with FPN and with the neck that NAS-FPN found.

Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; Ghiasi et al., NAS-FPN, CVPR 2019, figure 6; the
graph as in tensorflow/tpu, models/official/detection/modeling/architecture/nasfpn.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from paretonas.space import Spec
from paretonas.space.detector import LEVELS, DetectorSpec, MergingCell, NeckSpec
from paretonas.zoo.foreign import backbone_spec
from paretonas.zoo.zoo import Published

FOUND = (
    MergingCell(4, "attention", (1, 3)),
    MergingCell(4, "sum", (1, 5)),
    MergingCell(3, "sum", (0, 6)),
    MergingCell(4, "sum", (6, 7)),
    MergingCell(5, "attention", (7, 8)),
    MergingCell(7, "attention", (6, 9)),
    MergingCell(6, "attention", (9, 10)),
)
"""The seven cells, in order; the last five give the levels 3, 4, 5, 7 and 6."""


@dataclass(frozen=True)
class RetinaNet(Published):
    """RetinaNet with FPN; ResNet-50, or any classifier of the zoo or of timm's, is its backbone.

    Args:
        backbone: `timm:NAME`, or a network of the zoo with MobileNetV2's blocks.
        width: Of a backbone of the zoo.
        filters: Of the pyramid.
        separable: Whether neck and heads have depthwise separable convolutions.
        head_layers: Convolutions of the heads before the last.
    """

    published_resolution: ClassVar[int] = 640
    backbone: str = "timm:resnet50"
    width: float = 1.0
    filters: int = 256
    separable: bool = False
    head_layers: int = 4

    def spec(self) -> Spec:
        return self._with(NeckSpec(self.filters, LEVELS, (), 1, self.separable))

    def _with(self, neck: NeckSpec) -> Spec:
        backbone = backbone_spec(self.backbone, self.width)
        return DetectorSpec(backbone, "retinanet", neck, self.head_layers)


@dataclass(frozen=True)
class NasFpn(RetinaNet):
    """RetinaNet with the neck that NAS-FPN found (R50, 7@256 at 640 px: AP 39.9).

    Args:
        stacks: How often the neck's cells follow one another.
    """

    stacks: int = 7

    def spec(self) -> Spec:
        return self._with(NeckSpec(self.filters, LEVELS, FOUND, self.stacks, self.separable))
