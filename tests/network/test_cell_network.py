import pytest
import torch
from torch import nn

from paretonas.network import build
from paretonas.network.cell import CONVOLUTIONS, POOLS, FactorizedReduction, make_op
from paretonas.space import Interface
from paretonas.space.cell import Block, Cell, CellSpec
from paretonas.zoo import zoo_spec


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", ["identity", *POOLS, *CONVOLUTIONS])
def test_every_op_gives_its_filters_and_divides_the_sides(op, stride, side):
    x = torch.randn(2, 8, side, side)
    for width in (8, 12):
        assert make_op(op, 8, width, stride)(x).shape == (2, width, -(-side // stride), -(-side // stride))


def test_an_identity_that_changes_nothing_is_one():
    assert isinstance(make_op("identity", 8, 8, 1), nn.Identity)
    assert not isinstance(make_op("identity", 8, 8, 2), nn.Identity)


def test_max_pooling_of_2x2_takes_what_is_right_and_below():
    x = torch.tensor([[[[-4.0, -3.0], [-2.0, -1.0]]]])
    assert POOLS["max2x2"](1)(x).flatten().tolist() == [-1.0, -1.0, -1.0, -1.0]


def test_factorized_reduction_takes_every_second_pixel_twice():
    reduction = FactorizedReduction(1, 3).eval()
    for conv in (reduction.straight, reduction.shifted):
        nn.init.ones_(conv.weight)
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    straight, shifted, again = reduction(x)[0] * (1 + reduction.norm.eps) ** 0.5
    assert torch.allclose(straight, torch.tensor([[0.0, 2.0], [6.0, 8.0]]))
    assert torch.allclose(shifted, torch.tensor([[4.0, 0.0], [0.0, 0.0]]))
    assert torch.equal(shifted, again)


def test_a_block_that_concatenates_has_twice_the_filters():
    cell = Cell(
        (Block((0, 1), ("sep3x3", "identity"), "concat"), Block((2, 0), ("max3x3", "identity"))), outputs=(2, 3)
    )
    model = build(CellSpec(cell, cell, 3, 4, 12), Interface.of_images(3, 32, 5))
    assert [module.width for module in model.cells] == [12, 24, 24, 48, 48]
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("name", ["nasnet-a-large", "amoebanet-c", "pnasnet-5"])
def test_odd_sides_and_inputs_that_are_concatenated_fit(name):
    spec = zoo_spec(f"{name}:cells=3,filters=12,stem=8", resolution=331)
    with torch.inference_mode():
        assert build(spec, Interface.of_images(3, 71, 5)).eval()(torch.zeros(1, 3, 71, 71)).shape == (1, 5)
