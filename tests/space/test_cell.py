from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretonas.errors import SpecError
from paretonas.space import spec_from_json, spec_to_json
from paretonas.space.cell import Block, Cell, CellSpec

OPS = ("sep3x3", "max3x3", "identity")
PLAIN = Cell((Block((0, 1), ("sep3x3", "identity")),))


@st.composite
def cells(draw):
    blocks = [
        Block(
            draw(st.tuples(*[st.integers(0, state - 1)] * 2)),
            draw(st.tuples(*[st.sampled_from(OPS)] * 2)),
            draw(st.sampled_from(("add", "concat"))),
        )
        for state in range(2, 2 + draw(st.integers(1, 5)))
    ]
    return Cell(tuple(blocks))


def relabelled(cell, rng):
    """The same graph, its blocks in another order that is possible, its pairs turned."""
    waiting, place = list(range(2, 2 + len(cell.blocks))), {0: 0, 1: 1}
    blocks = []
    while waiting:
        state = rng.choice([s for s in waiting if all(i in place for i in cell.blocks[s - 2].inputs)])
        waiting.remove(state)
        block, turn = cell.blocks[state - 2], rng.choice((1, -1))
        blocks.append(Block(tuple(place[i] for i in block.inputs)[::turn], block.ops[::turn], block.combine))
        place[state] = len(place)
    return Cell(tuple(blocks), tuple(sorted(place[state] for state in cell.outputs)))


@given(cells(), st.integers(0, 2**32))
def test_cells_that_differ_in_order_alone_have_one_canonical_form(cell, seed):
    canonical = cell.canonical()
    assert relabelled(cell, Random(seed)).canonical() == canonical == canonical.canonical()
    assert len(canonical.blocks) == len(cell.blocks)  # all reach the output


def test_blocks_that_reach_no_output_are_left_out():
    cell = Cell((Block((0, 0), OPS[:2]), Block((1, 2), OPS[:2]), Block((0, 1), OPS[:2])), outputs=(4,))
    assert cell.canonical() == Cell((Block((0, 1), OPS[:2]),))


def test_alike_blocks_for_different_others_are_told_apart():
    """Two equal blocks, each taken by a block of its own: whichever comes first, the cell is the same."""
    first, others = Block((0, 0), ("sep3x3", "sep3x3")), ("identity", "max3x3")
    one = Cell((first, first, *(Block((2 + i, 1), (op, "sep3x3")) for i, op in enumerate(others))))
    two = Cell((first, first, *(Block((3 - i, 1), (op, "sep3x3")) for i, op in enumerate(others))))
    assert one != two
    assert one.canonical() == two.canonical()


def test_unused_blocks_are_the_outputs():
    assert Cell((Block((0, 1), OPS[:2]), Block((2, 1), OPS[:2]), Block((0, 0), OPS[:2]))).outputs == (3, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cell(()), "1 <= blocks"),
        (lambda: Cell((Block((0, 2), OPS[:2]),)), "Block 2 takes states from 0 to 1"),
        (lambda: Cell((Block((0, -1), OPS[:2]),)), "Block 2 takes"),
        (lambda: Cell(PLAIN.blocks, (3,)), "gives states from 0 to 2"),
        (lambda: Cell(PLAIN.blocks, (2, 1)), "rising"),
        (lambda: Block((0,), OPS[:1]), "two inputs and two ops"),
        (lambda: CellSpec(PLAIN, None, 2, 8, 8), "3 <= cells"),
        (lambda: CellSpec(PLAIN, None, 3, 7, 8), "even"),
        (lambda: CellSpec(PLAIN, None, 3, 2, 8, "imagenet"), "4 <= filters"),
        (lambda: CellSpec(PLAIN, None, 3, 8, 0), "1 <= stem"),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(SpecError, match=message):
        make()


def test_spec_is_read_as_it_was_written_and_its_ops_are_checked():
    spec = CellSpec(PLAIN, PLAIN, 6, 8, 24)
    data = spec_to_json(spec)
    assert spec_from_json(data) == spec
    data["normal"]["blocks"][0]["ops"][0] = "sep4x4"
    with pytest.raises(SpecError, match=r"normal.blocks\[0\].ops\[0\] is one of"):
        spec_from_json(data)


def test_places_of_cells():
    """Reduction cells are put in before a third and two thirds of the cells; without one, these stride themselves."""
    spec = CellSpec(PLAIN, PLAIN, 6, 8, 24, is_skipping=True)
    assert [(p.filters, p.stride, p.is_skipping) for p in spec.places()] == [
        (8, 1, False), (8, 1, False), (16, 2, False), (16, 1, True), (16, 1, False), (32, 2, False), (32, 1, True),
        (32, 1, False),
    ]  # fmt: skip
    spec = CellSpec(PLAIN, None, 6, 8, 24, "imagenet")
    assert [(p.filters, p.stride) for p in spec.places()] == [
        (2, 2), (4, 2), (8, 1), (8, 1), (16, 2), (16, 1), (32, 2), (32, 1)
    ]  # fmt: skip


def test_scaled_networks_have_more_filters_and_cells_and_the_skeleton_for_the_images():
    spec = CellSpec(PLAIN, None, 6, 24, 72)
    assert spec.scaled(0.5) == CellSpec(PLAIN, None, 6, 12, 36)
    assert spec.scaled(1, 1.5) == CellSpec(PLAIN, None, 9, 24, 72)
    assert spec.scaled(resolution=224).skeleton == "imagenet"


def test_parts_are_cells_that_take_the_two_before_them():
    parts = CellSpec(PLAIN, None, 3, 8, 24).parts()
    assert [part.name for part in parts] == ["stem", "cell0", "cell1", "cell2", "classifier"]
    assert [part.inputs for part in parts] == [
        (), ("stem",), ("cell0", "stem"), ("cell1", "cell0"), ("cell2",)
    ]  # fmt: skip
    assert parts[1].words == "sep3x3 of current + identity of previous"
