"""SSDLite on the networks of another space: MnasNet for detection.

Source: Tan et al., MnasNet, CVPR 2019, section 6.3. Differs: there the network that was found for ImageNet got the
heads; here the whole detector is searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from paretonas.errors import SpecError
from paretonas.space.detector import DetectorSpec
from paretonas.space.elastic import ElasticSpace
from paretonas.space.mnasnet import MnasNetSpace
from paretonas.space.space import Choice, SearchSpace, name_with_options
from paretonas.space.spec import ForeignSpec, Spec, strides_to_drop

PUBLISHED = 224
"""Side in pixels of the images that backbones have all their strides for."""


@dataclass(frozen=True)
class SSDLiteSpace:
    """SSDLite on a backbone that is searched.

    Args:
        resolution: Side of the images in pixels; that of the task.
        width: Multiplier of the backbone's filters.
        backbone: Space of the backbones: `mnasnet`, or `elastic` of inverted, fused and plain blocks.
        last_filters: Of a 1x1 convolution after the backbone.
    """

    resolution: int = 320
    width: float = 1.0
    backbone: Literal["mnasnet", "elastic"] = "mnasnet"
    last_filters: int = 640

    def __post_init__(self) -> None:
        strides_to_drop(self.resolution)  # a side that is none is refused
        if self.backbone not in ("mnasnet", "elastic"):
            raise SpecError(f"Backbones of SSDLite are of mnasnet or elastic, but got {self.backbone!r}.")
        DetectorSpec(ForeignSpec("timm:any"), "ssdlite", last_filters=self.last_filters)
        self._backbones()

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        inner = self._backbones().build()

        def decode(values: Mapping[str, Choice]) -> Spec:
            return DetectorSpec(inner.decoder(values), "ssdlite", last_filters=self.last_filters)

        return replace(inner, name=name_with_options("ssdlite", self), decoder=decode)

    def _backbones(self) -> ElasticSpace | MnasNetSpace:
        space = ElasticSpace if self.backbone == "elastic" else MnasNetSpace
        return space(resolution=PUBLISHED, width=self.width)
