"""Networks of the MnasNet family: MnasNet itself, MobileNetV2, and every point of the MnasNet space.

Source: Tan et al., MnasNet, CVPR 2019; initial weights as in tensorflow/tpu, models/official/mnasnet.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from paretonas.network.layers import ACTIVATIONS, ConvLayer, MBConv, conv_bn
from paretonas.space import Interface
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec


class MnasNet(nn.Module):
    """Stem, blocks, head, global average pooling, classifier.

    Args:
        spec: What to build.
        interface: Images in, logits out.
        dropout: Before the classifier.
    """

    def __init__(self, spec: MnasNetSpec, interface: Interface, dropout: float = 0.0):
        super().__init__()
        activation = ACTIVATIONS[spec.activation]
        self.stem = nn.Sequential(*conv_bn(interface.channels, spec.stem_filters, 3, spec.stem_stride), activation())
        widths = [spec.stem_filters, *(block.filters for block in spec.blocks)]
        self.blocks = nn.Sequential(
            *(_block(width, block, spec.activation) for width, block in zip(widths, spec.blocks, strict=False))
        )
        self.head = nn.Sequential(*conv_bn(widths[-1], spec.head_filters, 1), activation())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(spec.head_filters, interface.classes)
        self.apply(_initialize)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, classes)."""
        x = self.head(self.blocks(self.stem(x)))  # (N, head_filters, h, w)
        return self.classifier(self.dropout(self.flatten(self.pool(x))))


def _block(c_in: int, block: BlockSpec, activation: str) -> nn.Sequential:
    layer = ConvLayer if block.op == "conv" else MBConv
    first = layer(c_in, block.stride, block, activation)
    return nn.Sequential(first, *(layer(block.filters, 1, block, activation) for _ in range(block.layers - 1)))


def _initialize(module: nn.Module) -> None:
    """Convolutions normal with variance 2 / fan-out; the classifier uniform in +-1 / sqrt(inputs).

    The released code has +-1 / sqrt(classes), which is nearly the same for 1000 classes, but for ten gives logits so
    large that the first epochs are spent on shrinking them.
    """
    if isinstance(module, nn.Conv2d):
        fan_out = module.out_channels // module.groups * math.prod(module.kernel_size)
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.in_features)
        nn.init.uniform_(module.weight, -bound, bound)
        nn.init.zeros_(module.bias)
