"""The first stage of a detector of two: which regions of an image are worth a second look.

What is chosen are tensors whose shapes depend on the image's shape alone: of every level so many candidates, of all
candidates so many proposals.

Source: Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1; Lin et al., Feature Pyramid Networks for Object Detection,
CVPR 2017, section 4.1 (one head for all levels); Bolya et al., YOLACT, ICCV 2019, section 5 (suppression at once, by
one matrix: a candidate goes that overlaps any better one, be that one suppressed itself or not).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paretonas.network.pyramid import by_anchor, convolution
from paretonas.space.detector import DetectorSpec

ANCHOR_SIDE = 8
"""Of an anchor, in strides of its level."""
ASPECTS = (0.5, 1.0, 2.0)
"""Height to width."""
OVERLAP = 0.7
"""Over which one of two candidates goes."""
LAST = 1000.0
"""More than lies between any two logits of objectness."""
LARGEST = math.log(1000 / 16)
"""Of an offset of a side: no box is more than so many times as long as its anchor."""


def region_anchors(sides: Sequence[int], resolution: int) -> list[Tensor]:
    """The anchors (places * 3, 4) of each level, in pixels.

    Args:
        sides: Of the levels, in places.
        resolution: Side of the images, in pixels.
    """
    from torchvision.models.detection.anchor_utils import AnchorGenerator

    strides = [resolution // side for side in sides]
    sizes = tuple((ANCHOR_SIDE * stride,) for stride in strides)
    with torch.device("cpu"):  # torchvision makes a part of them there, whatever is asked for
        generator = AnchorGenerator(sizes, (ASPECTS,) * len(sizes))
        pairs = [[torch.tensor(stride)] * 2 for stride in strides]
        anchors: list[Tensor] = generator.grid_anchors([[side, side] for side in sides], pairs)
    return anchors


class RegionHead(nn.Module):
    """A convolution that all levels share, and from it objectness and offsets of every anchor.

    Args:
        spec: Of a detector with regions.
    """

    def __init__(self, spec: DetectorSpec):
        super().__init__()
        assert spec.neck is not None
        filters = spec.neck.filters
        self.coarser = nn.MaxPool2d(1, 2)
        self.conv = nn.Sequential(*convolution(filters, filters, 3, spec.neck.is_separable), nn.ReLU())
        self.logits = nn.Conv2d(filters, spec.anchors, 1)
        self.offsets = nn.Conv2d(filters, 4 * spec.anchors, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, levels: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """(N, filters, h, w) of each level to logits (N, anchors) and offsets (N, anchors, 4); of a coarser one too."""
        found = [self.conv(level) for level in (*levels, self.coarser(levels[-1]))]
        logits = [torch.flatten(by_anchor(self.logits(x), 1), 1) for x in found]
        return logits, [by_anchor(self.offsets(x), 4) for x in found]


class Proposals(nn.Module):
    """The best regions.

    Args:
        spec: Of a detector with regions.
        resolution: Side of the images in pixels.
    """

    def __init__(self, spec: DetectorSpec, resolution: int):
        super().__init__()
        assert spec.regions is not None
        self.count, self.side = spec.regions.proposals, resolution
        self.candidates = spec.candidates(resolution)
        device = torch.empty(0).device  # where a network is built: on none, say
        for i, anchors in enumerate(region_anchors(spec.sides(resolution), resolution)):
            self.register_buffer(f"anchors{i}", anchors.to(device), persistent=False)

    def forward(self, logits: Sequence[Tensor], offsets: Sequence[Tensor]) -> Tensor:
        """Logits (N, anchors) and offsets (N, anchors, 4) of each level to (N, proposals, 4), in pixels, best first."""
        levels = [self._of_level(i, *one) for i, one in enumerate(zip(logits, offsets, strict=True))]
        scores, boxes = (torch.cat([level[k] for level in levels], dim=1) for k in range(2))
        return rows(boxes, best(scores, self.count)[1])

    def _of_level(self, level: int, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and boxes of its candidates; what a better one covers stands behind all others."""
        scores, places = best(logits, self.candidates[level])
        boxes = decoded(rows(offsets, places), anchors_at(self.get_buffer(f"anchors{level}"), places))
        boxes = torch.clamp(torch.where(boxes > 0, boxes, 0.0), max=self.side)  # what is no number is 0
        return scores - LAST * are_covered(boxes).to(torch.float32), boxes


def decoded(offsets: Tensor, anchors: Tensor) -> Tensor:
    """(…, 4) of shifts and logarithms of factors, of anchors (…, 4) in pixels, to boxes (…, 4).

    Source: Girshick et al., R-CNN, CVPR 2014, appendix C.
    """
    sizes = anchors[..., 2:] - anchors[..., :2]
    centres = anchors[..., :2] + 0.5 * sizes + offsets[..., :2] * sizes
    halves = 0.5 * torch.exp(torch.clamp(offsets[..., 2:], max=LARGEST)) * sizes
    return torch.cat((centres - halves, centres + halves), dim=-1)


def are_covered(boxes: Tensor) -> Tensor:
    """Whether each of the boxes (N, k, 4), best first, overlaps one before it by more than .7: (N, k).

    Overlap is that of Jaccard: what both cover, to what either does.
    """
    left, top, right, bottom = (boxes[..., i] for i in range(4))  # (N, k) each
    areas = (right - left) * (bottom - top)
    width = torch.minimum(right[:, :, None], right[:, None]) - torch.maximum(left[:, :, None], left[:, None])
    height = torch.minimum(bottom[:, :, None], bottom[:, None]) - torch.maximum(top[:, :, None], top[:, None])
    both = torch.clamp(width, min=0) * torch.clamp(height, min=0)  # (N, k, k)
    excess = both - OVERLAP * (areas[:, :, None] + areas[:, None] - both)
    return torch.amax(torch.triu(excess, 1), dim=1) > 0


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest of (N, n) scores and their places, (N, count) each, falling; of equal ones the first come first."""
    values, places = torch.sort(scores, dim=1, descending=True, stable=True)
    return values[:, :count], places[:, :count]


def rows(x: Tensor, places: Tensor) -> Tensor:
    """Of (N, n, m) those at the places (N, k): (N, k, m)."""
    return torch.gather(x, 1, places[:, :, None].expand(-1, -1, x.shape[2]))


def anchors_at(anchors: Tensor, places: Tensor) -> Tensor:
    """Of (n, 4) those at the places (N, k): (N, k, 4)."""
    return anchors[places]


torch.fx.wrap("anchors_at")
torch.fx.wrap("best")
torch.fx.wrap("rows")
