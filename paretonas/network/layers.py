"""Layers that published mobile networks are made of.

Batch normalization has MnasNet's settings: decay .99 (PyTorch's momentum .01) and epsilon 1e-3. Padding is symmetric.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from paretonas.space.mnasnet import BlockSpec

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "relu6": nn.ReLU6}


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalization as MnasNet has it."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def conv_bn(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    """A convolution without bias and its normalization."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    return [conv, batch_norm(c_out)]


class SqueezeExcite(nn.Module):
    """Scales channels by a gate computed from their means.

    Args:
        channels: Of the input and output.
        reduced: Width between the two 1x1 convolutions, which have biases.
        activation: Between them.

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018; widths as in tensorflow/tpu's MnasNet.
    """

    def __init__(self, channels: int, reduced: int, activation: str):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.activation = ACTIVATIONS[activation]()
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same."""
        return x * self.gate(self.expand(self.activation(self.reduce(self.pool(x)))))


class PoolSkip(nn.Module):
    """A skip connection without weights: 3x3 average pooling, channels cut or padded with zeros.

    Source: ours; the MnasNet paper offers pooling skips and does not define them.
    """

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride, padding=1, count_include_pad=False)
        self.extra = c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, c_out, ceil(H / stride), ceil(W / stride))."""
        if self.extra < 0:
            x = x[:, : self.extra]
        x = self.pool(x)
        return F.pad(x, (0, 0, 0, 0, 0, self.extra)) if self.extra > 0 else x


def skip_connection(skip: str, c_in: int, c_out: int, stride: int) -> nn.Module | None:
    """The module that carries a layer's input to its output, or None where nothing does."""
    if skip == "pool":
        return PoolSkip(c_in, c_out, stride)
    if skip == "identity" and stride == 1 and c_in == c_out:
        return nn.Identity()
    return None


class ConvLayer(nn.Module):
    """Convolution, BN, activation, and what is asked of squeeze-and-excitation and skip connection.

    Args:
        c_in: Input channels.
        stride: Of this layer; a block's stride is its first layer's alone.
        block: What else there is to say.
        activation: A key of `ACTIVATIONS`.
    """

    def __init__(self, c_in: int, stride: int, block: BlockSpec, activation: str):
        super().__init__()
        parts = [*conv_bn(c_in, block.filters, block.kernel, stride), ACTIVATIONS[activation]()]
        if block.se_ratio:
            parts.append(SqueezeExcite(block.filters, max(1, int(c_in * block.se_ratio)), activation))
        self.body = nn.Sequential(*parts)
        self.skip = skip_connection(block.skip, c_in, block.filters, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, filters, ceil(H / stride), ceil(W / stride))."""
        return self.body(x) if self.skip is None else self.body(x) + self.skip(x)


class MBConv(nn.Module):
    """Inverted bottleneck: 1x1 expansion, depthwise convolution, 1x1 linear projection.

    With an expansion of 1 there is no expanding convolution, which makes it a depthwise separable convolution. The
    squeeze-and-excitation is reduced relative to the layer's input width. In a `fused` block one k x k convolution
    stands for the expansion and the depthwise one: more multiplications, and fewer layers that wait for memory.

    Args:
        c_in: Input channels.
        stride: Of this layer; a block's stride is its first layer's alone.
        block: What else there is to say.
        activation: A key of `ACTIVATIONS`.

    Source: Sandler et al., MobileNetV2, CVPR 2018; tensorflow/tpu, models/official/mnasnet. Fused: Gupta and Tan,
    EfficientNet-EdgeTPU, 2019; Tan and Le, EfficientNetV2, ICML 2021. Differs: with an expansion of 1 a fused block has
    two convolutions still (a `conv` block has one).
    """

    def __init__(self, c_in: int, stride: int, block: BlockSpec, activation: str):
        super().__init__()
        hidden = c_in * block.expansion
        parts: list[nn.Module] = []
        if block.op == "fused":
            parts += [*conv_bn(c_in, hidden, block.kernel, stride), ACTIVATIONS[activation]()]
        else:
            if block.expansion > 1:
                parts += [*conv_bn(c_in, hidden, 1), ACTIVATIONS[activation]()]
            parts += [*conv_bn(hidden, hidden, block.kernel, stride, groups=hidden), ACTIVATIONS[activation]()]
        if block.se_ratio:
            parts.append(SqueezeExcite(hidden, max(1, int(c_in * block.se_ratio)), activation))
        parts += conv_bn(hidden, block.filters, 1)
        self.body = nn.Sequential(*parts)
        self.skip = skip_connection(block.skip, c_in, block.filters, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(N, c_in, H, W) to (N, filters, ceil(H / stride), ceil(W / stride))."""
        return self.body(x) if self.skip is None else self.body(x) + self.skip(x)


def scale_branches(network: nn.Module, scale: float) -> None:
    """Multiply what residual branches add at first; with 0 every such layer begins as the identity.

    Branches that end in an activation stay as they are: with 0 they would never learn.

    Args:
        network: Changed where a layer has a `body` and a `skip`, and the body ends in a normalization.
        scale: Of the normalization's weights.

    Source: Goyal et al., Accurate, Large Minibatch SGD, 2017, section 5.1.
    """
    for module in network.modules():
        if isinstance(module, ConvLayer | MBConv) and module.skip is not None:
            last = module.body[-1]
            if isinstance(last, nn.BatchNorm2d):
                nn.init.constant_(last.weight, scale)
