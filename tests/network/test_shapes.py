"""Networks of which only the shapes are wanted."""

import torch
from torch import nn

from paretonas.network import build
from paretonas.network.shapes import without_numbers
from paretonas.space import Interface
from paretonas.zoo import zoo_spec

IMAGES = Interface.of_images(3, 32, 10)


def test_shapes_are_those_of_the_network_itself() -> None:
    spec = zoo_spec("mnasnet-a1", 0.5, 32)
    with without_numbers():
        shapes = build(spec, IMAGES).state_dict()
    whole = build(spec, IMAGES).state_dict()
    assert {name: tensor.shape for name, tensor in shapes.items()} == {name: t.shape for name, t in whole.items()}
    assert all(tensor.is_meta for tensor in shapes.values())


def test_what_holds_numbers_is_filled() -> None:
    with without_numbers():
        filled = torch.empty(3, device="cpu").fill_(2.0)
        nn.init.ones_(other := torch.empty(2, device="cpu"))
    assert filled.tolist() == [2, 2, 2]
    assert other.tolist() == [1, 1]


def test_nothing_random_is_drawn() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    with without_numbers():
        nn.Conv2d(3, 8, 3)
    assert torch.equal(before, torch.get_rng_state())
