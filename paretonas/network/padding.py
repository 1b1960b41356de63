"""Padding as TensorFlow's SAME has it: where a stride does not come out even, the odd pixel is added at the end."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SamePadded(nn.Module):
    """A layer of its own padding, fed what `SAME` pads. Its weights are stored as those of the layer alone would be.

    Args:
        layer: A convolution or a pooling with a stride below its kernel; its own padding is taken away.

    Source: timm.layers, `pad_same`. As there, and other than in TensorFlow, an average is over the padding too.
    """

    def __init__(self, layer: Any):
        super().__init__()
        layer.padding = (0, 0)
        self.layer = layer
        self.value = -torch.inf if isinstance(layer, nn.MaxPool2d) else 0.0
        self.register_load_state_dict_pre_hook(_into_layer)

    def state_dict(self, *, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """That of the layer."""
        return self.layer.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', ceil(H / stride), ceil(W / stride))."""
        height, width = (self._pads(x.shape[axis], axis - 2) for axis in (2, 3))
        return self.layer(F.pad(x, (*width, *height), value=self.value))

    def _pads(self, side: int, axis: int) -> tuple[int, int]:
        kernel, stride, dilation = (
            _of(getattr(self.layer, name, 1), axis) for name in ("kernel_size", "stride", "dilation")
        )
        total = (-(-side // stride) - 1) * stride + dilation * (kernel - 1) + 1 - side  # >= 0, as kernel >= stride
        return total // 2, total - total // 2


def _into_layer(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        state[f"{prefix}layer.{name.removeprefix(prefix)}"] = state.pop(name)


def pad_same(network: nn.Module) -> None:
    """Give all layers of a network that pad and stride the padding `SAME`."""
    for module in list(network.modules()):
        for name, layer in module.named_children():
            is_padding = isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) and _most(layer.padding) > 0
            if is_padding and _most(layer.stride) > 1:
                setattr(module, name, SamePadded(layer))


def _of(value: Any, axis: int) -> int:
    return int(value[axis] if isinstance(value, tuple) else value)


def _most(value: Any) -> int:
    return max(value) if isinstance(value, tuple) else int(value)
