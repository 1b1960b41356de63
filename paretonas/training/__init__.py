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
        "activations": "paretonas.training.spending:Activations",
        "latency": "paretonas.training.spending:EstimatedLatency",
        "macs": "paretonas.training.spending:MACs",
        "params": "paretonas.training.spending:Parameters",
        "roofline": "paretonas.training.spending:RooflineLatency",
    },
)

__all__ = ["resources", "samplings"]
