"""ShuffleNetV2-style networks of DetNAS's four blocks.

Source: Ma et al., ShuffleNet V2, ECCV 2018; megvii-model/ShuffleNet-Series (DetNAS: network.py, blocks.py), with its
first way to shuffle. Differs: dropout follows the pooling.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from paretonas.space import Interface
from paretonas.space.shufflenet import ShuffleBlock, ShuffleNetSpec


class ShuffleNet(nn.Module):
    """Stem, blocks, head, global average pooling, classifier.

    Args:
        spec: What to build.
        interface: Images in, logits out.
        dropout: Before the classifier.
    """

    def __init__(self, spec: ShuffleNetSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(interface.channels, spec.stem, 3, 2, 1), nn.BatchNorm2d(spec.stem), nn.ReLU()
        )
        self.blocks, width, ops = nn.Sequential(), spec.stem, iter(spec.blocks)
        for repeats, filters in zip(spec.repeats, spec.filters, strict=True):
            for i in range(repeats):
                block = Halving if i == 0 else Splitting
                self.blocks.append(block(next(ops), width, filters))
                width = filters
        self.head = nn.Sequential(nn.Conv2d(width, spec.last, 1), nn.BatchNorm2d(spec.last), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(spec.last, interface.classes)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01 if name == "stem.0" else 1 / module.weight.shape[1])
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        x = self.head(self.blocks(self.stem(x)))
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


class Splitting(nn.Module):
    """Half of the channels go by, the other half through the branch; shuffled before.

    Args:
        op: Of the branch.
        c_in: Even, as many as come out.
        c_out: Likewise.
    """

    def __init__(self, op: ShuffleBlock, c_in: int, c_out: int):
        super().__init__()
        self.width = c_in // 2
        self.branch = branch(op, self.width, c_out // 2, c_out - self.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        x = torch.flatten(torch.unflatten(x, 1, (2, self.width)).transpose(1, 2), 1, 2)  # 0, C/2, 1, C/2 + 1, …
        return torch.cat([x[:, : self.width], self.branch(x[:, self.width :])], dim=1)


class Halving(nn.Module):
    """The sides are halved: all channels go through a branch, and through a depthwise and a 1x1 convolution beside it.

    Args:
        op: Of the branch.
        c_in: Channels that come.
        c_out: Channels that go, more than come.
    """

    def __init__(self, op: ShuffleBlock, c_in: int, c_out: int):
        super().__init__()
        kernel = int(op[-1])
        self.beside = nn.Sequential(*_depthwise(c_in, kernel, 2), *_pointwise(c_in, c_in))
        self.branch = branch(op, c_in, c_out // 2, c_out - c_in, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, ceil(H / 2), ceil(W / 2))."""
        return torch.cat([self.beside(x), self.branch(x)], dim=1)


def branch(op: ShuffleBlock, c_in: int, middle: int, c_out: int, stride: int) -> nn.Sequential:
    """What a block computes."""
    if op == "xception3":
        return nn.Sequential(
            *(*_depthwise(c_in, 3, stride), *_pointwise(c_in, middle)),
            *(*_depthwise(middle, 3), *_pointwise(middle, middle)),
            *(*_depthwise(middle, 3), *_pointwise(middle, c_out)),
        )
    return nn.Sequential(
        *_pointwise(c_in, middle), *_depthwise(middle, int(op[-1]), stride), *_pointwise(middle, c_out)
    )


def _depthwise(channels: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False)
    return [conv, nn.BatchNorm2d(channels)]


def _pointwise(c_in: int, c_out: int) -> list[nn.Module]:
    return [nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
