from dataclasses import replace
from math import prod
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space.detector import LEVELS, MergingCell
from paretonas.space.fpn import FpnSpace, merging_cells, merging_choices, merging_decisions
from paretonas.zoo.nasfpn import FOUND


def test_the_space_has_the_published_size():
    assert FpnSpace().build().size == prod(len(d.choices) for d in merging_decisions()) == 1_931_334_451_200_000


def test_every_combination_of_choices_is_a_neck_and_the_way_back_is_the_same():
    space, rng = FpnSpace(width=0.5).build(), Random(0)
    for _ in range(50):
        architecture = space.sample(rng)
        spec = space.decode(architecture)
        assert sorted(cell.level for cell in spec.neck.cells[-5:]) == list(LEVELS)
        assert all(cell.level != LEVELS[0] for cell in spec.neck.cells[:2])
        assert merging_choices(spec.neck.cells) == architecture.choices


def test_the_published_neck_is_a_point_of_the_space():
    decisions = merging_decisions()
    choices = merging_choices(FOUND)
    values = {d.name: d.choices[c] for d, c in zip(decisions, choices, strict=True)}
    assert merging_cells(values) == FOUND
    assert [values[f"order{i}"] for i in range(4)] == [0, 0, 0, 1]  # the levels 3, 4, 5, 7, 6


@pytest.mark.parametrize(
    "cells",
    [
        FOUND[1:],
        (replace(FOUND[0], level=3), *FOUND[1:]),
        (replace(FOUND[0], inputs=(1, 9)), *FOUND[1:]),
        tuple(MergingCell(3, "sum", (0, 1)) for _ in range(7)),
    ],
)
def test_what_is_no_neck_of_the_space_has_no_choices(cells):
    with pytest.raises(SpecError):
        merging_choices(cells)


def test_images_have_a_multiple_of_128_pixels():
    with pytest.raises(SpecError, match="multiple of 128"):
        FpnSpace(resolution=320)
