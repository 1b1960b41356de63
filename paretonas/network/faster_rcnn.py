"""Faster R-CNN with FPN: regions of an image are chosen, and each of them is looked at again.

One module from images to the boxes of a fixed number of proposals, so that it is costed, exported and timed as any
network. While it learns, its task chooses the regions: then it gives what it said of all regions too.

Source: Ren et al., Faster R-CNN, NeurIPS 2015; Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017,
section 4.2; He et al., Mask R-CNN, ICCV 2017, section 3 (RoIAlign); torchvision's faster_rcnn.py. Differs: features are
sampled half a pixel before those of torchvision, where pixels have their centres, as in its `aligned`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.network.backbone import make_backbone
from paretonas.network.pyramid import Neck
from paretonas.network.regions import Proposals, RegionHead
from paretonas.space import Interface
from paretonas.space.detector import REGION_LEVELS, DetectorSpec

SIDE = 7
"""Of what is looked at of a region, in places."""
SAMPLES = 2
"""Of a place, in each direction."""
CANONICAL_LEVEL, CANONICAL_SIDE = 4, 224
"""A region of so many pixels a side is looked at on that level; FPN, eq. 1."""
ROUNDING = 2.0**-1e-6
"""By which a region may be smaller, as in torchvision."""

Choose = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""From what the first stage says of the anchors of each level, logits (N, anchors) and offsets (N, anchors, 4), to
regions (k, 5): number of the image, left, top, right, bottom in pixels."""


class FasterRCNN(nn.Module):
    """Backbone, neck, a head that finds regions, and one that looks at each.

    Args:
        spec: Of a detector with a neck and regions.
        interface: Images in; `logits`, `offsets` and the `proposals` that they are of out.
        logits: Of a proposal; the first is that of the background.

    Raises:
        SpecError: The backbone lacks a stage.
    """

    def __init__(self, spec: DetectorSpec, interface: Interface, logits: int):
        super().__init__()
        assert spec.neck is not None
        assert spec.regions is not None
        self.backbone = make_backbone(spec.backbone, interface.channels)
        self.neck = Neck(spec.neck, self.backbone.strides, self.backbone.filters)
        self.regions = RegionHead(spec)
        self.proposals = Proposals(spec, interface.inputs[0].shape[-1])
        self.boxes = BoxHead(spec.neck.filters, spec.regions.filters, logits)
        self.count = spec.regions.proposals

    def forward(self, images: Tensor, choose: Choose | None = None) -> tuple[Tensor, ...]:
        """What is in regions of the images.

        Args:
            images: (N, channels, H, W).
            choose: Gives the regions to look at; None: the best.

        Returns:
            Logits (N, proposals, classes + 1), offsets (N, proposals, 4 * (classes + 1)), which each class has of its
            own, and the proposals (N, proposals, 4) in pixels. If they are chosen, (k, classes + 1) and (k, 4 *
            (classes + 1)) of these regions, and of all anchors logits (N, anchors) and offsets (N, anchors, 4).
        """
        return self.from_features(self.backbone(images), choose)

    def from_features(self, features: Sequence[Tensor], choose: Choose | None = None) -> tuple[Tensor, ...]:
        """Likewise, from the features of the backbone's stages."""
        levels = self.neck(features)
        region_logits, region_offsets = self.regions(levels)
        if choose is not None:
            chosen = self.boxes(levels, choose(region_logits, region_offsets))
            return *chosen, torch.cat(region_logits, dim=1), torch.cat(region_offsets, dim=1)
        proposals = self.proposals(region_logits, region_offsets)
        logits, offsets = (torch.unflatten(x, 0, (-1, self.count)) for x in self.boxes(levels, numbered(proposals)))
        return logits, offsets, proposals


class BoxHead(nn.Module):
    """Two layers on the features of a region, then the logits of its classes and the offsets that each of them has.

    Args:
        c_in: Filters of the features.
        filters: Units of the layers.
        logits: Of a region.
    """

    def __init__(self, c_in: int, filters: int, logits: int):
        super().__init__()
        first, second = nn.Linear(c_in * SIDE * SIDE, filters), nn.Linear(filters, filters)
        self.layers = nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU())
        self.logits = nn.Linear(filters, logits)
        self.offsets = nn.Linear(filters, 4 * logits)

    def forward(self, levels: Sequence[Tensor], regions: Tensor) -> tuple[Tensor, Tensor]:
        """(N, c_in, h, w) of each level and regions (k, 5) to (k, logits) and (k, 4 * logits)."""
        x = self.layers(aligned(one_batch(levels), on_levels(regions)))
        return self.logits(x), self.offsets(x)


def numbered(proposals: Tensor) -> Tensor:
    """(N, k, 4) to (N * k, 5), with the number of the image before each box."""
    numbers = torch.cumsum(torch.zeros_like(proposals[:, :, :1]) + 1, dim=0) - 1
    return torch.flatten(torch.cat((numbers, proposals), dim=2), 0, 1)


def one_batch(levels: Sequence[Tensor]) -> Tensor:
    """(N, c, h, w) of each level, from the finest, to (N * levels, c, h + 1, w + 1), the levels of an image in turn.

    Coarser ones lie in the corner; beyond its end each goes on as it ends, as far as a region reaches.
    """
    side = levels[0].shape[-1] + 1
    same = []
    for level in levels:
        gap = side - level.shape[-1] - 1
        same.append(F.pad(F.pad(level.to(torch.float32), (0, 1, 0, 1), mode="replicate"), (0, gap, 0, gap)))
    return torch.flatten(torch.stack(same, dim=1), 0, 1)


def on_levels(regions: Tensor) -> Tensor:
    """Regions (k, 5) of images, in pixels, to those of `one_batch`, in places of the level that is for their size.

    Source: Lin et al., Feature Pyramid Networks for Object Detection, CVPR 2017, eq. 1.
    """
    areas = (regions[:, 3:4] - regions[:, 1:2]) * (regions[:, 4:] - regions[:, 2:3])
    number, places = regions[:, :1] * len(REGION_LEVELS), regions[:, 1:] * 0.5 ** REGION_LEVELS[0]
    for level in REGION_LEVELS[1:]:
        is_larger = (areas > (CANONICAL_SIDE * 2.0 ** (level - CANONICAL_LEVEL) * ROUNDING) ** 2).to(torch.float32)
        number, places = number + is_larger, places * (1 - 0.5 * is_larger)
    return torch.cat((number, places), dim=1)


def aligned(features: Tensor, regions: Tensor) -> Tensor:
    """RoIAlign of regions (k, 5) of (n, c, h, w), in places: (k, c, 7, 7)."""
    from torchvision.ops import roi_align

    found: Tensor = roi_align(features, regions, SIDE, 1.0, SAMPLES, aligned=True)
    return found


torch.fx.wrap("aligned")
