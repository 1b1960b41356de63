"""Weights from a task."""

from paretonas.registry import Registry

samplings = Registry(
    "sampling of paths",
    {
        "balanced": "paretonas.training.supernet:Balanced",
        "sandwich": "paretonas.training.supernet:Sandwich",
        "single": "paretonas.training.supernet:Single",
    },
)

__all__ = ["samplings"]
