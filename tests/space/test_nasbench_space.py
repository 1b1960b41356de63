from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import SpecError
from paretonas.space.nasbench import (
    CELL_OPS,
    MACRO_OPS,
    Cell201Spec,
    MacroSpec,
    NASBench201Space,
    NASBenchMacroSpace,
    canonical_cell,
    parse_cell,
)

CELL = Cell201Spec(("nor_conv_3x3", "none", "avg_pool_3x3", "skip_connect", "none", "nor_conv_1x1"), 8, 2)
cells = st.lists(st.sampled_from(CELL_OPS), min_size=6, max_size=6).map(tuple)
examples = settings(max_examples=100, deadline=None, database=None, derandomize=True)


@pytest.mark.parametrize(
    ("options", "size", "choices"), [(NASBenchMacroSpace(), 6561, 3), (NASBench201Space(), 15_625, 5)]
)
def test_sizes_are_the_published_ones(options, size, choices):
    space = options.build()
    assert space.size == size
    assert {len(decision.choices) for decision in space.decisions} == {choices}


def test_parts_of_a_macro_network():
    parts = MacroSpec(tuple(MACRO_OPS[i] for i in (0, 1, 2, 0, 0, 1, 1, 0))).parts()
    assert [part.name for part in parts] == ["stem", *(f"layer{i}" for i in range(8)), "head", "classifier"]
    assert [part.inputs for part in parts] == [(), *((part.name,) for part in parts[:-1])]
    assert [part.words for part in parts[:4]] == ["conv 3x3", "identity", "mbconv3 k3", "mbconv6 k5"]
    assert [part.op for part in parts[1:5]] == ["other", "mbconv", "mbconv", "other"]
    assert [(part.filters, part.stride) for part in parts] == [
        (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1), (1280, 1), (None, 1),
    ]  # fmt: skip


def test_parts_of_a_cell_network():
    parts = CELL.parts()
    assert [part.name for part in parts] == [
        "stem", "cell0", "cell1", "reduction1", "cell2", "cell3", "reduction2", "cell4", "cell5", "classifier",
    ]  # fmt: skip
    assert [part.modules for part in parts[1:-1]] == [(f"layers.{i}",) for i in range(8)]
    assert parts[1].words == "0-1 nor_conv_3x3, 1-2 avg_pool_3x3, 0-3 skip_connect, 2-3 nor_conv_1x1"
    assert [part.filters for part in parts] == [8, 8, 8, 16, 16, 16, 32, 32, 32, None]
    assert [part.name for part in parts if part.stride == 2] == ["reduction1", "reduction2"]
    assert [part.inputs for part in parts] == [(), *((part.name,) for part in parts[:-1])]


@pytest.mark.parametrize(
    ("width", "depth", "channels", "cells"),
    [(1.0, 1.0, 16, 5), (0.5, 2.0, 8, 10), (1.1, 1.1, 18, 6), (0.01, 0.01, 1, 1), (2.0, 0.3, 32, 2)],
)
def test_scaled_cell_network_has_more_channels_and_cells(width, depth, channels, cells):
    spec = Cell201Spec(("skip_connect",) * 6).scaled(width, depth)
    assert (spec.channels, spec.cells, spec.edges) == (channels, cells, ("skip_connect",) * 6)


def test_cell_network_has_the_same_strides_for_all_images():
    assert CELL.scaled(resolution=224) == CELL.scaled() == CELL


@pytest.mark.parametrize("factor", [0.0, -1.0, 1000.0, float("nan"), float("inf")])
@pytest.mark.parametrize("what", ["width", "depth"])
def test_scaled_cell_network_out_of_range_is_refused(what, factor):
    with pytest.raises(SpecError, match="above 0 and at most 10"):
        Cell201Spec(("none",) * 6).scaled(**{what: factor})


def test_scaled_cell_network_beyond_its_sizes_is_refused():
    with pytest.raises(SpecError, match="1 <= channels <= 1024"):
        Cell201Spec(("none",) * 6, channels=1024).scaled(2.0)


@examples
@given(edges=cells)
def test_canonical_cell_stands_for_itself_and_has_no_more_ops(edges):
    canonical = canonical_cell(edges)
    assert canonical_cell(canonical) == canonical
    assert canonical.count("none") >= edges.count("none")


@examples
@given(edges=cells)
def test_written_cell_is_read_back(edges):
    text = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*edges)
    assert parse_cell(text) == edges
    assert parse_cell(text.replace("~0", "~3", 1)) is None


def test_representative_of_a_space_is_of_the_space():
    space = NASBench201Space(4, 1).build()
    rng = Random(0)
    for _ in range(50):
        architecture = space.sample(rng)
        other = space.architecture(space.canonical(architecture.choices))
        assert space.canonical(other.choices) == other.choices


def test_the_cell_is_drawn_with_the_edges_that_give_something():
    (graph,) = CELL.graphs()
    assert [(node.name, node.words, node.inputs) for node in graph.nodes] == [
        ("node0", "input", ()),
        ("edge01", "nor conv 3x3", ("node0",)),
        ("node1", "add", ("edge01",)),
        ("edge12", "avg pool 3x3", ("node1",)),
        ("node2", "add", ("edge12",)),
        ("edge03", "skip connect", ("node0",)),
        ("edge23", "nor conv 1x1", ("node2",)),
        ("node3", "add", ("edge03", "edge23")),
        ("output", "output", ("node3",)),
    ]
    (nothing,) = Cell201Spec(("none",) * 6).graphs()
    assert [node.words for node in nothing.nodes] == ["input", "zeros", "zeros", "zeros", "output"]
