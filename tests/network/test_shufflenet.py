import pytest
import torch
from torch import nn

from paretonas.errors import SpecError
from paretonas.network import build
from paretonas.network.shufflenet import Halving, Splitting
from paretonas.space import Interface, spec_from_json, spec_to_json
from paretonas.space.shufflenet import BLOCKS, ShuffleNetSpace, ShuffleNetSpec
from paretonas.zoo.detnas import FOUND


def test_channels_are_interleaved_and_halved():
    block = Splitting("shuffle3", 8, 8)
    block.branch = nn.Identity()
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert block(x).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@pytest.mark.parametrize("op", BLOCKS)
@pytest.mark.parametrize("side", [7, 8])
def test_every_block_keeps_or_halves_the_sides(op, side):
    x = torch.rand(2, 6, side, side)
    assert Splitting(op, 6, 6)(x).shape == x.shape
    assert Halving(op, 6, 16)(x).shape == (2, 16, (side + 1) // 2, (side + 1) // 2)


@pytest.mark.parametrize("op", BLOCKS)
def test_kernels_are_those_of_the_name(op):
    sides = [m.kernel_size[0] for m in Halving(op, 6, 16).modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert sides == [int(op[-1])] * (4 if op == "xception3" else 2)


def test_the_space_writes_blocks_as_the_published_code_does():
    space = ShuffleNetSpace()
    spec = space.spec(tuple(map(int, FOUND["coco-fpn"])))
    assert spec.blocks[:4] == ("shuffle7", "shuffle5", "shuffle7", "shuffle3")
    assert (space.build().size, ShuffleNetSpace(size="large").build().size) == (4**20, 4**40)
    assert spec_from_json(spec_to_json(spec)) == spec
    model = build(space.spec((3,) * 20).scaled(0.25), Interface.of_images(3, 64, 5)).eval()
    assert model(torch.rand(2, 3, 64, 64)).shape == (2, 5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"blocks": ("shuffle3",) * 19},
        {"blocks": ("shuffle9",) * 20},
        {"filters": (64, 160, 321, 640)},
        {"filters": (64, 160, 100, 640)},
        {"filters": (64, 160, 320)},
        {"stem": 64},
        {"last": 0},
        {"repeats": ()},
    ],
)
def test_a_network_that_cannot_be_is_refused(wrong):
    with pytest.raises(SpecError):
        ShuffleNetSpec(**{"blocks": ("shuffle3",) * 20, **wrong})


def test_it_comes_in_its_own_depth():
    with pytest.raises(SpecError, match="its own depth"):
        ShuffleNetSpace().spec((0,) * 20).scaled(depth=2.0)
    with pytest.raises(SpecError, match="A size is one of"):
        ShuffleNetSpace(size="tiny")
