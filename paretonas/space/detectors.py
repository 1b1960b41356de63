"""Detectors whose backbones are searched: the heads of SSDLite, RetinaNet or Faster R-CNN on the networks of a space.

Source: Tan et al., MnasNet, CVPR 2019, section 6.3 (SSDLite); Chen et al., DetNAS: Backbone Search for Object
Detection, NeurIPS 2019 (FPN and RetinaNet on ShuffleNetV2's blocks). Differs: MnasNet's network that was found for
ImageNet got the heads; here, as in DetNAS, the whole detector is searched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from paretonas.errors import SpecError
from paretonas.space.detector import LEVELS, REGION_LEVELS, DetectorSpec, NeckSpec, RegionSpec
from paretonas.space.elastic import ElasticSpace
from paretonas.space.mnasnet import MnasNetSpace
from paretonas.space.shufflenet import ShuffleNetSpace
from paretonas.space.space import Choice, SearchSpace, name_with_options
from paretonas.space.spec import ForeignSpec, Spec, strides_to_drop

PUBLISHED = 224
"""Side in pixels of the images that backbones have all their strides for."""
BackboneSpace = Literal["detnas", "elastic", "mnasnet"]
BACKBONES: Mapping[str, type[ShuffleNetSpace] | type[ElasticSpace] | type[MnasNetSpace]] = {
    "detnas": ShuffleNetSpace,
    "elastic": ElasticSpace,
    "mnasnet": MnasNetSpace,
}
ANY = ForeignSpec("timm:any")
"""A backbone that stands for those of a space."""


@dataclass(frozen=True)
class SSDLiteSpace:
    """SSDLite on a backbone that is searched.

    Args:
        resolution: Side of the images in pixels; that of the task.
        width: Multiplier of the backbone's filters.
        backbone: Space of the backbones: `mnasnet`, `elastic` of inverted, fused and plain blocks, or `detnas`.
        last_filters: Of a 1x1 convolution after the backbone.
    """

    resolution: int = 320
    width: float = 1.0
    backbone: BackboneSpace = "mnasnet"
    last_filters: int = 640

    def __post_init__(self) -> None:
        _check(self, self._detector(ANY))

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        return _built("ssdlite", self, self._detector)

    def _detector(self, backbone: Spec) -> DetectorSpec:
        return DetectorSpec(backbone, "ssdlite", last_filters=self.last_filters)


@dataclass(frozen=True)
class RetinaNetSpace:
    """RetinaNet with FPN on a backbone that is searched.

    Args:
        resolution: Side of the images in pixels, a multiple of 128; that of the task.
        width: Multiplier of the backbone's filters.
        backbone: Space of the backbones: `detnas`, `elastic` or `mnasnet`.
        filters: Of the pyramid.
        separable: Whether neck and heads have depthwise separable convolutions.
        head_layers: Convolutions of the heads before the last.
    """

    resolution: int = 512
    width: float = 1.0
    backbone: BackboneSpace = "detnas"
    filters: int = 64
    separable: bool = True
    head_layers: int = 4

    def __post_init__(self) -> None:
        _check(self, self._detector(ANY))

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        return _built("retinanet", self, self._detector)

    def _detector(self, backbone: Spec) -> DetectorSpec:
        neck = NeckSpec(self.filters, LEVELS, (), 1, self.separable)
        return DetectorSpec(backbone, "retinanet", neck, self.head_layers)


@dataclass(frozen=True)
class FasterRCNNSpace:
    """Faster R-CNN with FPN on a backbone that is searched.

    Args:
        resolution: Side of the images in pixels, a multiple of 64; that of the task.
        width: Multiplier of the backbone's filters.
        backbone: Space of the backbones: `detnas`, `elastic` or `mnasnet`.
        filters: Of the pyramid.
        separable: Whether neck and first stage have depthwise separable convolutions.
        candidates: Of a level, of which those are left that overlap no better one.
        proposals: Regions that the second stage looks at.
        box_filters: Of the second stage's two layers.
    """

    resolution: int = 320
    width: float = 1.0
    backbone: BackboneSpace = "detnas"
    filters: int = 64
    separable: bool = True
    candidates: int = 200
    proposals: int = 100
    box_filters: int = 256

    def __post_init__(self) -> None:
        _check(self, self._detector(ANY))

    def build(self) -> SearchSpace:
        """The space that these options describe."""
        return _built("faster-rcnn", self, self._detector)

    def _detector(self, backbone: Spec) -> DetectorSpec:
        neck = NeckSpec(self.filters, REGION_LEVELS, (), 1, self.separable)
        regions = RegionSpec(self.candidates, self.proposals, self.box_filters)
        return DetectorSpec(backbone, "faster-rcnn", neck, regions=regions)


_Options = SSDLiteSpace | RetinaNetSpace | FasterRCNNSpace


def _built(name: str, options: _Options, detector: Callable[[Spec], DetectorSpec]) -> SearchSpace:
    """The space of the backbones as one of detectors."""
    inner = _backbones(options).build()

    def decode(values: Mapping[str, Choice]) -> Spec:
        return detector(inner.decoder(values))

    return replace(inner, name=name_with_options(name, options), decoder=decode)


def _backbones(options: _Options) -> ShuffleNetSpace | ElasticSpace | MnasNetSpace:
    if options.backbone not in BACKBONES:
        raise SpecError(f"Backbones are of {', '.join(BACKBONES)}, but got {options.backbone!r}.")
    return BACKBONES[options.backbone](resolution=PUBLISHED, width=options.width)


def _check(options: _Options, detector: DetectorSpec) -> None:
    """Refuse options that no detector can have."""
    strides_to_drop(options.resolution)  # a side that is none is refused
    detector.usual_interface(3, options.resolution, 1)
    _backbones(options)
