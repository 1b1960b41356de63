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

resources = Registry(
    "resource",
    {
        "activations": "paretonas.training.resource:Activations",
        "latency": "paretonas.training.resource:EstimatedLatency",
        "macs": "paretonas.training.resource:MACs",
        "params": "paretonas.training.resource:Parameters",
        "roofline": "paretonas.training.resource:RooflineLatency",
    },
)

__all__ = ["resources", "samplings"]
