"""Networks of which only the shapes are wanted."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from paretonas.network import build
from paretonas.network.shapes import Shapes, without_numbers
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


@pytest.mark.parametrize(
    "call",
    [
        lambda x: functional.conv2d(x, x.new_empty(8, 6, 3, 5), stride=(2, 1), padding=(1, 2)),
        lambda x: functional.conv2d(x, x.new_empty(6, 1, 3, 3), x.new_empty(6), dilation=2, groups=6),
        lambda x: functional.conv_transpose2d(x, x.new_empty(6, 4, 3, 3), stride=2),
        lambda x: functional.batch_norm(x, x.new_empty(6), x.new_empty(6)),
        lambda x: functional.linear(x.mean((2, 3)), x.new_empty(10, 6), x.new_empty(10)),
        lambda x: x.mean((-1, 2), keepdim=True),
        lambda x: x.mean(1, dtype=torch.float64),
        lambda x: x * x.mean((2, 3), keepdim=True),
        lambda x: x + x,
        lambda x: torch.add(x, x, alpha=2),
        lambda x: x.mul(3),
        lambda x: x.int().mul(3.5),
        lambda x: x.double() + x,
        lambda x: torch.cat([x, x[:, :2]], 1),
        lambda x: torch.cat([x, x.double()]),
        lambda x: torch.cat([x.new_empty(0), x], -2),
        lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: functional.avg_pool2d(x[0], (3, 2)),
        lambda x: functional.avg_pool2d(x, 4, ceil_mode=True),
        lambda x: functional.max_pool2d(x, (3, 2), padding=1),
        lambda x: functional.max_pool2d(x, 3, 1, dilation=2),
        lambda x: functional.max_pool2d(x, 3, 2, return_indices=True)[1],
        lambda x: functional.max_pool2d(x, 3, 2, ceil_mode=True),
        lambda x: x[:, :1] + x[:1, :, :, :1],
        lambda x: functional.relu6(x),
        lambda x: x.clone().sigmoid_(),
        lambda x: x.int().sigmoid(),
        lambda x: functional.silu(x),
        lambda x: x > x,
    ],
)
def test_results_are_of_pytorchs_shapes_and_types(call: Callable[[Tensor], Tensor]) -> None:
    x = torch.empty(2, 6, 9, 7, device="meta")
    with torch.no_grad():
        theirs = call(x)
        with Shapes():
            ours = call(x)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + x[:, :4],
        lambda x: torch.cat([x, x[:, :, :3]], 1),
        lambda x: functional.avg_pool2d(x, 9),
        lambda x: functional.conv2d(x, x.new_empty(8, 5, 1, 1)),
        lambda x: functional.conv2d(x, x.new_empty(8, 6, 8, 8)),
        lambda x: functional.linear(x.mean((2, 3)), x.new_empty(10, 5), x.new_empty(10)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(call: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises((RuntimeError, ValueError)), torch.no_grad(), Shapes():
        call(torch.empty(2, 6, 9, 7, device="meta"))
