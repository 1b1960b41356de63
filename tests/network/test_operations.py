"""What networks execute: as many MACs as costs count, by kinds, and nothing that engines leave out."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network.cost import spec_cost
from paretonas.network.operations import Operation, operations
from paretonas.space import ForeignSpec, Interface, spaces
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.nasbench import Cell201Spec

IMAGES = Interface.of_images(3, 32, 10)
SPACES = (
    "mnasnet:resolution=32", "elastic:resolution=32", "nasbench201", "nasbench-macro", "nasnet", "nas-rl-recurrent",
    "zoo:networks=mobilenet-v2",
)  # fmt: skip


def drawn(space, number=2):
    built = spaces.create(space).build()
    return [built.decode(built.sample(Random(seed))) for seed in range(number)]


@pytest.mark.parametrize("space", SPACES)
def test_macs_are_those_that_costs_count(space):
    for spec in drawn(space):
        interface = spec.with_state(spec.usual_interface(3, 32, 10))
        assert sum(one.macs for one in operations(spec, interface)) == spec_cost(spec, interface).macs


def test_operations_of_a_small_network_by_hand():
    spec = MnasNetSpec((BlockSpec("mbconv", 5, 8, 1, 2, 3),), stem_filters=8, stem_stride=1, head_filters=16)
    assert operations(spec, Interface.of_images(3, 8, 10)) == (
        Operation("conv 3x3", 64 * 8 * 27, 64 * 3 + 64 * 8, 8 * 27),
        Operation("relu", 0, 2 * 64 * 8, 0),
        Operation("conv 1x1", 64 * 24 * 8, 64 * 8 + 64 * 24, 24 * 8),
        Operation("relu", 0, 2 * 64 * 24, 0),
        Operation("depthwise 5x5", 16 * 24 * 25, 64 * 24 + 16 * 24, 24 * 25),
        Operation("relu", 0, 2 * 16 * 24, 0),
        Operation("conv 1x1", 16 * 8 * 24, 16 * 24 + 16 * 8, 8 * 24),
        Operation("conv 1x1", 16 * 16 * 8, 16 * 8 + 16 * 16, 16 * 8),
        Operation("relu", 0, 2 * 16 * 16, 0),
        Operation("mean", 0, 16 * 16 + 16, 0),
        Operation("product", 16 * 10, 16 + 10, 16 * 10 + 10),
    )


def test_kinds_tell_convolutions_skips_and_gates_apart():
    block = BlockSpec("mbconv", 3, 16, 2, 1, 6, se_ratio=0.25, skip="identity")
    kinds = Counter(one.kind for one in operations(MnasNetSpec((block,)), IMAGES))
    assert kinds["depthwise 3x3"] == 2
    assert kinds["add"] == 1
    assert kinds["sigmoid"] == kinds["mul"] == 2
    assert kinds["mean"] == 3


def cell(edges):
    return Counter(one.kind for one in operations(Cell201Spec(edges), IMAGES))


def test_what_no_output_follows_from_is_left_out():
    none, conv = "none", "nor_conv_3x3"
    dead = cell((conv, none, none, none, none, none))  # leads to a node that leads nowhere
    assert dead["conv 3x3"] == 0
    alive = cell((conv, none, none, none, "skip_connect", none))
    assert alive["conv 3x3"] > 0
    of_nothing = cell((none, none, conv, none, none, "skip_connect"))  # of zeros alone
    assert of_nothing["conv 3x3"] == 0


def test_numbers_are_never_computed(monkeypatch):
    calls = []

    monkeypatch.setattr("paretonas.network.operations.build", lambda spec, interface: Watching(calls))
    found = operations(ForeignSpec("watching:net"), IMAGES)
    assert [one.kind for one in found] == ["conv 3x3", "mean", "product"]
    assert calls == ["meta"]


class Watching(nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.conv, self.linear, self.calls = nn.Conv2d(3, 4, 3), nn.Linear(4, 10), calls

    def forward(self, x):
        self.calls.append(x.device.type)
        return self.linear(self.conv(x).mean((2, 3)))


def test_convolutions_of_every_kind_have_the_shapes_that_pytorch_gives(monkeypatch):
    layers = [
        nn.Conv2d(3, 8, 3, stride=2, padding=2, dilation=2),
        nn.Conv2d(8, 12, 5, padding=(2, 1), groups=4),
        nn.ConvTranspose2d(12, 6, 4, stride=2),
    ]
    monkeypatch.setattr("paretonas.network.operations.build", lambda spec, interface: nn.Sequential(*layers))
    sizes = [torch.zeros(1, 3, 32, 32)]
    for layer in layers:
        sizes.append(layer(sizes[-1]).detach())
    found = operations(ForeignSpec("odd:net"), IMAGES)
    assert [one.moved for one in found] == [a.numel() + b.numel() for a, b in pairwise(sizes)]
    assert [one.kind for one in found] == ["conv 3x3", "grouped 5x5", "transposed 4x4"]
    assert found[2].macs == sizes[2].numel() * 6 * 16


def test_network_that_cannot_be_run_is_refused():
    with pytest.raises(SpecError):
        operations(Cell201Spec(("skip_connect",) * 6), Interface.of_images(3, 1, 10))
