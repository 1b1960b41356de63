"""The networks of a space that share weights."""

from collections.abc import Mapping
from random import Random

import pytest
from torch import nn

from paretonas.network import build
from paretonas.network.cost import spec_cost
from paretonas.network.family import Family
from paretonas.network.sharing import fresh_weights
from paretonas.space import Decision, Interface, SearchSpace, Spec
from paretonas.space.mnasnet import BlockSpec, MnasNetSpec
from paretonas.space.space import Choice

IMAGES = Interface.of_images(3, 16, 5)


def blocks(values: Mapping[str, Choice]) -> Spec:
    """Two blocks; that of expansion 1 is built of other layers than those of more."""
    made = []
    for i in (1, 2):
        op = str(values[f"block{i}.op"])
        expansion = 1 if op == "conv" else int(values[f"block{i}.expansion"])
        filters, layers = int(values[f"block{i}.filters"]), int(values[f"block{i}.layers"])
        made.append(BlockSpec(op, 3, filters, layers, 2, expansion, 0.0, "identity"))  # type: ignore[arg-type]
    return MnasNetSpec(tuple(made), stem_filters=8, head_filters=16).canonical()


OFFERED: dict[str, tuple[Choice, ...]] = {
    "op": ("conv", "mbconv"), "expansion": (1, 6), "filters": (8, 16), "layers": (1, 2),
}  # fmt: skip
SPACE = SearchSpace(
    "blocks", tuple(Decision(f"block{i}.{key}", choices) for i in (1, 2) for key, choices in OFFERED.items()), blocks
)


def make(spec: Spec) -> nn.Module:
    return build(spec, IMAGES)


@pytest.fixture(scope="module")
def found() -> Family:
    return Family(SPACE, make)


def test_the_smallest_and_the_largest_are(found: Family) -> None:
    rng = Random(1)
    params = [spec_cost(found.draw(rng), IMAGES).params for _ in range(50)]
    least, most = (spec_cost(spec, IMAGES).params for spec in (found.smallest, found.largest))
    assert least <= min(params)
    assert max(params) <= most
    assert found.specs[-1] == found.largest


def test_every_network_has_its_weights(found: Family) -> None:
    shared, rng = fresh_weights(found.specs, make, True), Random(2)
    for _ in range(50):
        shared.places(make(found.draw(rng)))


def test_every_network_has_weights_of_its_own_shapes() -> None:
    own, rng = Family(SPACE, make, is_sliced=False), Random(3)
    shared = fresh_weights(own.specs, make, False)
    for _ in range(50):
        shared.places(make(own.draw(rng)))


def test_weights_that_hang_on_two_decisions_are_as_large_as_they_can_be(found: Family) -> None:
    roles = fresh_weights(found.specs, make, True).tensors()
    plain = [tensor.shape for role, tensor in roles.items() if "[Depthwise+Conv2d]/Depthwise0/weight" in role]
    assert sorted(shape[0] for shape in plain) == [8, 16, 16, 16], "expansion 1, beside an mbconv of filters 16"


@pytest.mark.parametrize("is_additive", [True, False])
def test_networks_of_a_cost_are_found_and_few_are_counted(is_additive):
    """Of twelve blocks each of which costs what it does, or as much more as there are others."""
    decisions = tuple(Decision(f"block{i}", (0, 1, 2)) for i in range(12))
    counted = []

    def cost(values):
        counted.append(values)
        total = 100.0 + sum(values)
        return total if is_additive else total**2

    space = SearchSpace("rows", decisions, lambda values: tuple(values[d.name] for d in decisions))
    family = Family(space, make)
    family.__dict__["_fewest"] = (0,) * 12
    drawn = [family.draw_within(*(cost((x,)) for x in (4, 8)), cost, Random(i), 500) for i in range(50)]
    assert all(4 <= sum(values) <= 8 for values in drawn)
    assert len(set(drawn)) > 40
    if is_additive:
        assert len(counted) < 300, "two thirds of those drawn lie elsewhere, and a hundred are for the estimate"
    counted.clear()
    family.draw_within(cost((23,)), cost((24,)), cost, Random(0), 500)
    assert len(counted) <= (3 if is_additive else 200), "nobody has counted what lies far off"
