"""Specs become `torch.nn.Module`s here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretonas.errors import SpecError
from paretonas.registry import Registry, blamed, short
from paretonas.space import Interface, Spec

if TYPE_CHECKING:
    from torch import nn

builders = Registry(
    "network builder",
    {
        "cell": "paretonas.network.cell:CellNetwork",
        "chain": "paretonas.network.chain:ChainNetwork",
        "detector": "paretonas.network.detector:DetectorNetwork",
        "foreign": "paretonas.network.foreign:ForeignNetwork",
        "mnasnet": "paretonas.network.mnasnet:MnasNet",
        "nasbench-macro": "paretonas.network.nasbench:NASBenchMacro",
        "nasbench201": "paretonas.network.nasbench:NASBench201",
        "recurrent": "paretonas.network.recurrent:RecurrentNetwork",
        "shufflenet": "paretonas.network.shufflenet:ShuffleNet",
        "widths": "paretonas.network.widths:WidthsNetwork",
    },
)


def build(spec: Spec, interface: Interface, dropout: float = 0.0) -> nn.Module:
    """The model that `spec` describes, with fresh weights from torch's global generator.

    Args:
        spec: Of any registered kind.
        interface: What it is fed and gives.
        dropout: Probability before the last layer, in [0, 1), where the network has a place for it.

    Returns:
        A module whose `forward` takes the interface's inputs, in batches of any size, and returns its outputs: a
        tensor, or a tuple of several.

    Raises:
        SpecError: There is no such network of that interface, or its builder gives something else.
    """
    from torch import nn

    with blamed(f"A network of {short(spec)} cannot be built for {interface}", SpecError):
        model = builders.load(spec.kind)(spec, interface, dropout)
    if not isinstance(model, nn.Module):
        raise SpecError(f"The builder of {spec.kind!r} networks gives a torch.nn.Module, but got {short(model)}.")
    return model


__all__ = ["build", "builders"]
