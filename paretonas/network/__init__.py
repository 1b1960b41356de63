"""Specs become `torch.nn.Module`s here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretonas.registry import Registry
from paretonas.space import Spec

if TYPE_CHECKING:
    from torch import nn

builders = Registry(
    "network builder",
    {
        "foreign": "paretonas.network.foreign:ForeignNetwork",
        "mnasnet": "paretonas.network.mnasnet:MnasNet",
        "nasbench-macro": "paretonas.network.nasbench:NASBenchMacro",
        "nasbench201": "paretonas.network.nasbench:NASBench201",
    },
)


def build(spec: Spec, classes: int, channels: int = 3, dropout: float = 0.0) -> nn.Module:
    """The model that `spec` describes, with fresh weights from torch's global generator.

    Args:
        spec: Of any registered kind.
        classes: Outputs of the classifier.
        channels: Of the input images.
        dropout: Probability before the classifier, in [0, 1).

    Returns:
        A module from (N, channels, H, W) to (N, classes).
    """
    model: nn.Module = builders.load(spec.kind)(spec, classes, channels, dropout)
    return model


__all__ = ["build", "builders"]
