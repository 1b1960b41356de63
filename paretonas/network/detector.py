"""Detectors: those of one stage, RetinaNet with any neck and SSDLite, and how any of them is built.

What they give are numbers for every anchor of every level: logits of its classes, and offsets of its box. Anchors,
boxes and what is left of overlapping ones are the task's.

Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; tensorflow/tpu, models/official/detection, whose
RetinaNet has convolutions in its heads that all levels share, and normalizations that they do not. Sandler et al.,
MobileNetV2, CVPR 2018, section 6.2; tensorflow/models, object_detection (SSDLite). Differs: SSDLite takes the output of
the last block of stride 16, not what is expanded within the next one; padding is symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.network.backbone import Backbone, make_backbone
from paretonas.network.faster_rcnn import FasterRCNN
from paretonas.network.pyramid import Neck, by_anchor, convolution
from paretonas.space import Interface
from paretonas.space.detector import SSD_ANCHORS, SSD_STRIDES, DetectorSpec, has_background

PRIOR = 0.01
"""Probability of an object that RetinaNet begins with."""
EXTRAS = (512, 256, 256, 128)
"""Filters of SSDLite's levels after the backbone."""


def DetectorNetwork(spec: DetectorSpec, interface: Interface, dropout: float = 0.0) -> nn.Module:  # noqa: N802
    """The detector of a spec, of one stage or two.

    Args:
        spec: What to build.
        interface: Images in; `logits` and `offsets` of every anchor out, or of proposals, and these.
        dropout: Is not used: a detector has no place for it.

    Raises:
        SpecError: The interface is not that of such a detector, or the backbone lacks a stage.
    """
    network = Detector if spec.regions is None else FasterRCNN
    return network(spec, interface, _logits(spec, interface))


class Detector(nn.Module):
    """Backbone, neck, heads.

    Args:
        spec: What to build.
        interface: What it is fed and gives.
        logits: Of an anchor.

    Raises:
        SpecError: The backbone lacks a stage.
    """

    def __init__(self, spec: DetectorSpec, interface: Interface, logits: int):
        super().__init__()
        self.backbone = make_backbone(spec.backbone, interface.channels)
        if spec.neck is None:
            self.neck: nn.Module = SmallerLevels(self.backbone, spec.last_filters)
            self.heads: nn.Module = SSDLiteHeads(self.neck.filters, logits)
        else:
            self.neck = Neck(spec.neck, self.backbone.strides, self.backbone.filters)
            self.heads = RetinaNetHeads(spec, spec.neck.filters, len(spec.neck.levels), logits)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) to logits (N, anchors, classes) and offsets (N, anchors, 4)."""
        return self.from_features(self.backbone(images))

    def from_features(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """The features of the backbone's stages to logits and offsets."""
        return self.heads(self.neck(features))


def _logits(spec: DetectorSpec, interface: Interface) -> int:
    """How many each anchor or proposal has."""
    shape, outputs = interface.image_shape, interface.outputs
    if shape is None or shape[1] != shape[2] or [port.name for port in outputs[:2]] != ["logits", "offsets"]:
        raise SpecError(
            f"A detector is fed square images and gives logits and offsets, but got {interface}: is its task detection?"
        )
    logits = outputs[0].shape[-1]
    expected = spec.usual_interface(shape[0], shape[1], max(1, logits - has_background(spec.head))).outputs
    if outputs != expected:
        given, wanted = ({port.name: port.shape for port in ports} for ports in (expected, outputs))
        raise SpecError(
            f"A detector with a head of {spec.head} gives {given} of images of {shape[1]} pixels, but the task asks "
            f"for {wanted}: its option `detector` has to be {spec.head}."
        )
    return logits


# RetinaNet


class RetinaNetHeads(nn.Module):
    """Convolutions that all levels share, each level with its own normalization."""

    def __init__(self, spec: DetectorSpec, filters: int, levels: int, classes: int):
        super().__init__()
        is_separable = spec.neck is not None and spec.neck.is_separable
        self.boxes = Tower(spec.head_layers, filters, levels, 4 * spec.anchors, is_separable)
        self.classes = Tower(spec.head_layers, filters, levels, classes * spec.anchors, is_separable)
        self.numbers = classes
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        last = [module for module in self.classes.last.modules() if isinstance(module, nn.Conv2d)][-1]
        assert last.bias is not None
        nn.init.constant_(last.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N, filters, h, w) of each level to (N, anchors, classes) and (N, anchors, 4)."""
        offsets = [by_anchor(self.boxes(level, i), 4) for i, level in enumerate(levels)]
        logits = [by_anchor(self.classes(level, i), self.numbers) for i, level in enumerate(levels)]
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


class Tower(nn.Module):
    """Convolutions, each with normalization and ReLU, then the one that predicts."""

    def __init__(self, layers: int, filters: int, levels: int, outputs: int, is_separable: bool):
        super().__init__()
        self.convs = nn.ModuleList(_single(filters, filters, is_separable) for _ in range(layers))
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(filters) for _ in range(levels)) for _ in range(layers))
        self.activation = nn.ReLU()
        self.last = _single(filters, outputs, is_separable)

    def forward(self, x: Tensor, level: int) -> Tensor:
        """(N, filters, h, w) of the level of that number to (N, outputs, h, w)."""
        for conv, norms in zip(self.convs, self.norms, strict=True):
            assert isinstance(norms, nn.ModuleList)
            x = self.activation(norms[level](conv(x)))
        return self.last(x)


def _single(c_in: int, c_out: int, is_separable: bool) -> nn.Module:
    """One module of it, so that weights keep their names."""
    layers = convolution(c_in, c_out, 3, is_separable)
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


# SSDLite


class SmallerLevels(nn.Module):
    """The stages of strides 16 and 32, the latter through a 1x1 convolution, and four levels of half the sides each.

    Attributes:
        filters: Of the six levels.
    """

    def __init__(self, backbone: Backbone, last: int):
        super().__init__()
        if not {SSD_STRIDES[0], SSD_STRIDES[1]} <= set(backbone.strides):
            raise SpecError(f"SSDLite has a backbone with stages of strides 16 and 32, but got {backbone.strides}.")
        self.taken = [backbone.strides.index(stride) for stride in SSD_STRIDES[:2]]
        self.last = nn.Sequential(*_conv_norm(backbone.filters[self.taken[1]], last, 1))
        widths = [last, *EXTRAS]
        self.extras = nn.ModuleList(_halving(a, b) for a, b in zip(widths, EXTRAS, strict=False))
        self.filters = (backbone.filters[self.taken[0]], *widths)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The ends of the stages to the six levels."""
        levels = [features[self.taken[0]], self.last(features[self.taken[1]])]
        for extra in self.extras:
            levels.append(extra(levels[-1]))
        return tuple(levels)


class SSDLiteHeads(nn.Module):
    """A depthwise separable predictor of offsets and one of logits on each level."""

    def __init__(self, filters: Sequence[int], classes: int):
        super().__init__()
        self.boxes = nn.ModuleList(_predictor(n, SSD_ANCHORS * 4) for n in filters)
        self.classes = nn.ModuleList(_predictor(n, SSD_ANCHORS * classes) for n in filters)
        self.numbers = classes

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(N, filters, h, w) of each level to (N, anchors, classes) and (N, anchors, 4)."""
        offsets = [by_anchor(predict(level), 4) for predict, level in zip(self.boxes, levels, strict=True)]
        logits = [by_anchor(predict(level), self.numbers) for predict, level in zip(self.classes, levels, strict=True)]
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


def _conv_norm(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03), nn.ReLU6()]


def _halving(c_in: int, c_out: int) -> nn.Sequential:
    inner = c_out // 2
    narrow, depthwise = _conv_norm(c_in, inner, 1), _conv_norm(inner, inner, 3, 2, groups=inner)
    return nn.Sequential(*narrow, *depthwise, *_conv_norm(inner, c_out, 1))


def _predictor(c_in: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(c_in, outputs, 1)
    nn.init.normal_(conv.weight, std=0.03)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return nn.Sequential(*_conv_norm(c_in, c_in, 3, groups=c_in), conv)
