"""Networks of NAS-Bench-Macro and NAS-Bench-201.

Source: xiusu/NAS-Bench-Macro; Dong and Yang, NAS-Bench-201, ICLR 2020, section 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from paretonas.space import Interface
from paretonas.space.nasbench import CELL_EDGES, MACRO_STAGES, Cell201Spec, MacroSpec


class NASBenchMacro(nn.Module):
    """Stem, eight layers in three stages, head, global average pooling, classifier.

    Args:
        spec: What to build.
        interface: Images in, logits out.
        dropout: Before the classifier.
    """

    def __init__(self, spec: MacroSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        self.stem = nn.Sequential(*_conv_bn(interface.channels, 32, 3), nn.ReLU())
        layers: list[nn.Module] = []
        width, ops = 32, iter(spec.layers)
        for count, filters in MACRO_STAGES:
            for i in range(count):
                layers.append(_macro_layer(next(ops), width, filters, 2 if i == 0 else 1))
                width = filters
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(*_conv_bn(width, 1280, 1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(1280, interface.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        x = self.head(self.layers(self.stem(x)))  # (N, 1280, h, w)
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


def _macro_layer(op: str, c_in: int, c_out: int, stride: int) -> nn.Module:
    if op == "identity":
        same = c_in == c_out and stride == 1
        return nn.Identity() if same else nn.Sequential(*_conv_bn(c_in, c_out, 1, stride))
    kernel, expansion = {"mbconv3_k3": (3, 3), "mbconv6_k5": (5, 6)}[op]
    hidden = c_in * expansion
    body = nn.Sequential(
        *_conv_bn(c_in, hidden, 1),
        nn.ReLU(),
        *_conv_bn(hidden, hidden, kernel, stride, hidden),
        nn.ReLU(),
        *_conv_bn(hidden, c_out, 1),
    )
    return Residual(body) if c_in == c_out and stride == 1 else body


class Residual(nn.Module):
    """What `body` gives, plus what `shortcut` makes of the input."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None):
        super().__init__()
        self.body, self.shortcut = body, nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to what either path gives."""
        return self.shortcut(x) + self.body(x)


class NASBench201(nn.Module):
    """Stem, three stages of equal cells with a residual block of stride 2 between them, pooling, classifier.

    Args:
        spec: What to build.
        interface: Images in, logits out.
        dropout: Before the classifier.
    """

    def __init__(self, spec: Cell201Spec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        width = spec.channels
        self.stem = nn.Sequential(*_conv_bn(interface.channels, width, 3))
        layers: list[nn.Module] = []
        for stage in range(3):
            if stage:
                layers.append(_reduction(width, 2 * width))
                width *= 2
            layers += [Cell201(spec.edges, width) for _ in range(spec.cells)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, interface.classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        x = self.last(self.layers(self.stem(x)))  # (N, 4 * channels, h, w)
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


class Cell201(nn.Module):
    """Four nodes; each is the sum of what its edges make of earlier ones, and the last is the output."""

    def __init__(self, edges: tuple[str, ...], width: int):
        super().__init__()
        self.edges = nn.ModuleList(CELL_OPS[op](width) for op in edges)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, H, W) to the same."""
        nodes = [x]
        for target in (1, 2, 3):
            inputs = [
                edge(nodes[source]) for edge, (source, end) in zip(self.edges, CELL_EDGES, strict=True) if end == target
            ]
            nodes.append(sum(inputs[1:], inputs[0]))
        return nodes[-1]


class Zero(nn.Module):
    """Zeros of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return torch.zeros_like(x)


def _relu_conv_bn(width: int, kernel: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), *_conv_bn(width, width, kernel))


CELL_OPS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: Zero(),
    "skip_connect": lambda width: nn.Identity(),
    "nor_conv_1x1": lambda width: _relu_conv_bn(width, 1),
    "nor_conv_3x3": lambda width: _relu_conv_bn(width, 3),
    "avg_pool_3x3": lambda width: nn.AvgPool2d(3, 1, padding=1, count_include_pad=False),
}


def _reduction(c_in: int, c_out: int) -> nn.Module:
    """A basic residual block of stride 2; the shortcut pools and projects."""
    body = nn.Sequential(nn.ReLU(), *_conv_bn(c_in, c_out, 3, 2), nn.ReLU(), *_conv_bn(c_out, c_out, 3))
    return Residual(body, nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1, bias=False)))


def _conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(c_out)]
