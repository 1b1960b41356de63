"""ScheduledDropPath: while a network learns, what single ops give is dropped at random, the more the deeper and later.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A; as in
tensorflow/models, slim/nets/nasnet/nasnet_utils.py (its third version).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves out what it is fed, for each example alone, and scales up what is kept.

    Args:
        depth: Of its cell, as a share of the network, in (0, 1]; by this share of the network's probability it drops.

    Attributes:
        probability: With which it drops; 0 until `drop_paths` says otherwise.
    """

    def __init__(self, depth: float):
        super().__init__()
        self.depth = depth
        self.probability = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) to the same."""
        if not self.training or self.probability == 0:
            return x
        keep = 1 - self.probability
        mask = torch.rand(x.shape[0], *[1] * (x.dim() - 1), device=x.device) < keep  # (N, 1, …)
        return x / keep * mask


def drop_paths(network: nn.Module, probability: float) -> None:
    """From now on drop with this probability in the deepest cell, and with less before it.

    Args:
        network: Changed where it has paths to drop.
        probability: In [0, 1).
    """
    for module in network.modules():
        if isinstance(module, DropPath):
            module.probability = probability * module.depth
