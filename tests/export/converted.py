"""Networks for the formats that are written by converters."""

import pytest
import torch
from torch import nn

from paretonas.network import build
from paretonas.space import Interface
from paretonas.space.interface import Port
from paretonas.testing.runtime import randomize_statistics
from paretonas.zoo import zoo_spec

IMAGES = Interface((Port("x", (1, 3, 8, 8)),), (Port("y", (1, 4)),))
TOKENS = Interface(
    (Port("tokens", (1,), "int64"), Port("unused", (1, 3)), Port("state", (1, 8))),
    (Port("zeta", (1, 8)), Port("state", (1, 8)), Port("alpha", (1, 8))),
)
"""Neither inputs nor outputs are in the order of the alphabet, and one name is an input's and an output's."""

NETWORKS = [
    pytest.param(name, width, side, id=name)
    for name, width, side in (
        ("mnasnet-a1", 0.5, 64),
        ("mobilenet-v2", 0.5, 64),
        ("mobilenet-v3-small", 0.5, 64),
        ("efficientnet-b0", 1.0, 32),
        ("nasnet-a", 0.25, 32),
        ("ssdlite", 0.5, 128),
        ("nascell", 1.0, 1),
        ("lstm", 1.0, 1),
    )
]


class Small(nn.Module):
    """Of images, converted in a few seconds."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.relu(self.bn(self.conv(x))).mean((2, 3)))


class Step(nn.Module):
    """One step of a recurrent network."""

    def __init__(self):
        super().__init__()
        self.table, self.linear = nn.Embedding(20, 8), nn.Linear(8, 8)

    def forward(self, tokens, unused, state):
        new = torch.tanh(self.linear(self.table(tokens) + state))
        return new * 2, new, state - 1


class Branching(nn.Module):
    """What no converter takes."""

    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else -x.mean((2, 3))


class Uneven(nn.Module):
    """Channels of which one is a thousand times as large as the others, which matter as much."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 4, 1)
        large = torch.tensor([1000.0] + [1.0] * 7)
        self.second.weight.data *= large[:, None, None, None]
        self.second.bias.data *= large
        self.third.weight.data /= large[:, None, None]

    def forward(self, x):
        return self.last(self.third(self.second(self.first(x)))).mean((2, 3))


def small():
    torch.manual_seed(0)
    return randomize_statistics(Small())


def of_the_zoo(name, width, side):
    """Its spec, its interface and itself."""
    spec = zoo_spec(name, width, side)
    interface = spec.usual_interface(3, side, spec.usual_classes)
    torch.manual_seed(0)
    return spec, interface, randomize_statistics(build(spec, interface)).eval()
