"""Chains of convolutions with skip connections: every point of NAS-RL's space for CIFAR-10.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, sections 3.3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.space import Interface
from paretonas.space.chain import ChainLayer, ChainSpec

Sides = tuple[int, int]
"""Height and width in pixels."""


class ChainNetwork(nn.Module):
    """Layers, global average pooling, classifier.

    Args:
        spec: What to build.
        interface: Images in, logits out; the zeros that are added to smaller inputs are for images of this size.
        dropout: Before the classifier.

    Raises:
        SpecError: It is not fed images.
    """

    def __init__(self, spec: ChainSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        if interface.image_shape is None:
            raise SpecError(f"A chain of convolutions is fed images, but got {interface.inputs}.")
        channels, height, width = interface.image_shape
        sides = [(-(-height // high), -(-width // wide)) for high, wide in spec.divisors()]
        self.layers, self.joins = nn.ModuleList(), nn.ModuleList()
        for layer in spec.layers:
            c_in = sum(spec.layers[source].filters for source in layer.inputs) or channels
            self.layers.append(make_layer(layer, c_in))
            self.joins.append(Join([sides[source] for source in layer.inputs]))
        self.inputs, self.outputs = [layer.inputs for layer in spec.layers], spec.outputs
        self.last = Join([sides[source] for source in self.outputs])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(sum(spec.layers[source].filters for source in self.outputs), interface.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        given: list[Tensor] = []
        for layer, join, sources in zip(self.layers, self.joins, self.inputs, strict=True):
            given.append(layer(join([given[source] for source in sources]) if sources else x))
        x = self.last([given[source] for source in self.outputs])  # (N, C, h, w)
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


class Join(nn.Module):
    """Concatenates along the channels, with zeros around what is smaller than the largest.

    Args:
        sides: Of each tensor. Where zeros are odd in number, there is one more below or to the right.
    """

    def __init__(self, sides: Sequence[Sides]):
        super().__init__()
        height = max((height for height, _ in sides), default=0)
        width = max((width for _, width in sides), default=0)
        self.zeros = [(*_around(width - w), *_around(height - h)) for h, w in sides]

    def forward(self, tensors: list[Tensor]) -> Tensor:
        """(N, C, h, w) each to (N, sum of C, largest h, largest w)."""
        padded = [F.pad(x, zeros) if any(zeros) else x for x, zeros in zip(tensors, self.zeros, strict=True)]
        return torch.cat(padded, dim=1) if len(padded) > 1 else padded[0]


def make_layer(layer: ChainLayer, c_in: int) -> nn.Module:
    """Convolution, normalization, ReLU."""
    stride, padding = (layer.stride_height, layer.stride_width), (layer.height // 2, layer.width // 2)
    conv = nn.Conv2d(c_in, layer.filters, (layer.height, layer.width), stride, padding, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(layer.filters), nn.ReLU())


def _around(zeros: int) -> tuple[int, int]:
    return zeros // 2, zeros - zeros // 2
