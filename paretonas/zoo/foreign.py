"""Published networks that timm builds.

Source: timm; Howard et al., Searching for MobileNetV3, ICCV 2019; Tan and Le, EfficientNet, ICML 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, Spec
from paretonas.zoo.zoo import Published, zoo_spec


@dataclass(frozen=True)
class TimmFamily(Published):
    """A network in the widths that timm has.

    Args:
        width: Multiplier of the filters.
        resolution: Side of the images in pixels: below 128 the first strides are dropped. None: as published.
    """

    width: float = 1.0
    resolution: int | None = None
    sources: ClassVar[Mapping[float, str]]

    def spec(self) -> ForeignSpec:
        if self.width not in self.sources:
            known = ", ".join(map(str, self.sources))
            raise SpecError(f"{type(self).__name__} comes in widths {known}, but got {self.width}.")
        return ForeignSpec(f"timm:{self.sources[self.width]}").scaled(resolution=self.resolution)


class MobileNetV3Small(TimmFamily):
    """MobileNetV3-small, from timm."""

    sources: ClassVar[Mapping[float, str]] = {
        0.5: "mobilenetv3_small_050",
        0.75: "mobilenetv3_small_075",
        1.0: "mobilenetv3_small_100",
    }


class MobileNetV3Large(TimmFamily):
    """MobileNetV3-large, from timm."""

    sources: ClassVar[Mapping[float, str]] = {0.75: "mobilenetv3_large_075", 1.0: "mobilenetv3_large_100"}


class EfficientNetB0(TimmFamily):
    """EfficientNet-B0, from timm."""

    sources: ClassVar[Mapping[float, str]] = {1.0: "efficientnet_b0"}


def backbone_spec(text: str, width: float) -> Spec:
    """What a detector stands on: `timm:NAME`, in its own width, or a network of the zoo.

    Raises:
        SpecError: It does not come in that width.
        UnknownNameError: Not in the zoo.
    """
    if not text.startswith("timm:"):
        return zoo_spec(text, width)
    if width != 1:
        raise SpecError(f"A model of timm's comes in its own width, but got {text} and {width=}.")
    return ForeignSpec(text)
