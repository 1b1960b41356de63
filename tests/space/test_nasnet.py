import math
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import Architecture, spaces
from paretonas.space.nasnet import AmoebaNetSpace, NASNetSpace, PNASNetSpace


def test_sizes_are_those_of_the_papers():
    """Of ordered pairs: NASNet's (2 3 4 5 6)^2 13^10 2^5 a cell, AmoebaNet's 5.57e14 a cell, PNASNet's one cell."""
    assert NASNetSpace().build().size == (math.factorial(6) ** 2 * 13**10 * 2**5) ** 2
    assert PNASNetSpace().build().size == 556_627_761_561_600
    assert AmoebaNetSpace().build().size == 556_627_761_561_600**2


def test_nasnet_has_fifty_decisions_in_the_order_of_the_paper():
    names = [decision.name for decision in NASNetSpace().build().decisions]
    assert len(names) == 50
    assert names[:5] == [f"normal.block0.{part}" for part in ("input1", "input2", "op1", "op2", "combine")]
    assert names[25] == "reduction.block0.input1"


def test_one_block_cells_of_pnasnet_are_136():
    space = PNASNetSpace().build()
    assert space.lengths == (4, 8, 12, 16, 20)
    cells = {
        space.decode(Architecture(space.name, (a, b, c, d))).normal
        for a in range(2) for b in range(2) for c in range(8) for d in range(8)
    }  # fmt: skip
    assert len(cells) == 136


def test_a_prefix_is_the_cell_of_its_blocks():
    space, rng = PNASNetSpace().build(), Random(0)
    whole = space.sample(rng)
    for length in space.lengths:
        spec = space.decode(Architecture(space.name, whole.choices[:length]))
        assert len(spec.normal.blocks) == length // 4
        assert spec.reduction is None


@pytest.mark.parametrize("name", ["nasnet", "pnasnet", "amoebanet"])
def test_the_skeleton_is_that_for_the_images(name):
    small, large = (spaces.create(f"{name}:resolution={side}").build() for side in (32, 224))
    spec = small.decode(small.sample(Random(0)))
    assert (spec.skeleton, spec.stem) == ("cifar", 72)
    spec = large.decode(large.sample(Random(0)))
    assert (spec.skeleton, spec.stem) == ("imagenet", 32)


def test_options_out_of_range_are_refused():
    with pytest.raises(SpecError, match="1 <= blocks"):
        NASNetSpace(blocks=0)
    with pytest.raises(SpecError, match="cells"):
        PNASNetSpace(cells=2)
