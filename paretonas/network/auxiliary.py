"""The auxiliary classifier: a second one, from the middle of a network, that helps it to learn and then goes.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition, CVPR 2018, appendix A; as in
tensorflow/models, slim/nets/nasnet/nasnet.py, `_build_aux_head`.
"""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn

from paretonas.errors import SpecError
from paretonas.space import Interface

POOLED, REDUCED, WIDE = 5, 128, 768
"""Side of the pooling window, and channels of the two convolutions."""


class WithAuxiliary(nn.Module):
    """A network that has a place for an auxiliary classifier.

    Once it has one, it gives in training mode the logits of both, a pair of (N, classes); otherwise its own alone.

    Attributes:
        auxiliary: The second classifier; None: it has none.
    """

    auxiliary: AuxiliaryHead | None

    @abstractmethod
    def add_auxiliary(self, interface: Interface) -> None:
        """Give it one, with fresh weights.

        Raises:
            SpecError: At its place the image is too small.
        """


class AuxiliaryHead(nn.Module):
    """Average pooling, 1x1 convolution, a convolution over all that is left, and a linear layer.

    A checkpoint leaves it out: `serves_training_alone`.

    Args:
        width: Channels that it is fed.
        side: Of what it is fed.
        classes: That it tells apart.

    Raises:
        SpecError: The side is less than five.
    """

    serves_training_alone = True

    def __init__(self, width: int, side: int, classes: int):
        super().__init__()
        if side < POOLED:
            raise SpecError(
                f"`side >= {POOLED}` must hold where the auxiliary classifier begins, but got {side}. Take larger "
                "images, or a recipe with auxiliary=0."
            )
        left = (side - POOLED) // 3 + 1
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(POOLED, 3),
            nn.Conv2d(width, REDUCED, 1, bias=False),
            nn.BatchNorm2d(REDUCED),
            nn.ReLU(),
            nn.Conv2d(REDUCED, WIDE, left, bias=False),
            nn.BatchNorm2d(WIDE),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(WIDE, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, side, side) to (N, classes)."""
        return self.layers(x)
