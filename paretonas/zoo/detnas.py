"""DetNASNet: the backbones that DetNAS found, and uniform ShuffleNetV2.

Source: Chen et al., DetNAS: Backbone Search for Object Detection, NeurIPS 2019; architectures as in megvii-model/DetNAS
(detnasnet.py). The 1.3 G and 3.8 G networks are one architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paretonas.errors import SpecError
from paretonas.space import Spec
from paretonas.space.shufflenet import SKELETONS, ShuffleNetSpace, SizeName
from paretonas.zoo.zoo import Published

FOUND = {
    "coco-fpn": "21202112331300313132",
    "coco-retinanet": "23113213311133203333",
    "voc-fpn": "21031303201133333331",
}
"""By the detector and the data that the search was on; the numbers are those of the blocks."""
LARGE = "0031210203123320211320222131033313333333"


@dataclass(frozen=True)
class DetNASNet(Published):
    """DetNASNet of 300 M multiply-adds (COCO with FPN: AP 36.4), 1.3 G (40.0) or 3.8 G (42.0).

    Args:
        size: `small`, `large` or `huge`.
        found: What `small` was searched on: `coco-fpn`, `coco-retinanet` or `voc-fpn`.
        width: Multiplier of the filters.
    """

    size: SizeName = "small"
    found: Literal["coco-fpn", "coco-retinanet", "voc-fpn"] = "coco-fpn"
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.found not in FOUND:
            raise SpecError(f"DetNAS searched on {', '.join(FOUND)}, but got {self.found!r}.")

    def spec(self) -> Spec:
        written = FOUND[self.found] if self.size == "small" else LARGE
        return ShuffleNetSpace(size=self.size, width=self.width).spec(tuple(map(int, written)))


@dataclass(frozen=True)
class UniformShuffleNet(Published):
    """ShuffleNetV2 with the same block everywhere: what DetNAS is compared with.

    Args:
        size: `small`, `large` or `huge`.
        block: Number of the block: kernels of 3, 5 or 7, or 3 for Xception's.
        width: Multiplier of the filters.
    """

    size: SizeName = "small"
    block: int = 0
    width: float = 1.0

    def spec(self) -> Spec:
        if not 0 <= self.block <= 3:
            raise SpecError(f"A block is 0 to 3, but got {self.block}.")
        blocks = sum(SKELETONS[self.size].repeats)
        return ShuffleNetSpace(size=self.size, width=self.width).spec((self.block,) * blocks)
