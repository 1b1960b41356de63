from dataclasses import replace
from random import Random

import pytest

from paretonas.errors import SpecError
from paretonas.space import Interface, spaces
from paretonas.space.recurrent import NASRLRecurrentSpace, Node, RecurrentSpec, TreeCell
from paretonas.zoo.nascell import CELL

PLAIN = Node("add", "identity")


def test_size_is_that_of_the_paper():
    space = NASRLRecurrentSpace().build()
    assert space.size == 8**15 * 8 * 15 * 14 == 59_109_745_109_237_760
    assert NASRLRecurrentSpace(base=2).build().size == 8**3 * 8 * 3 * 2


def test_decisions_come_in_the_order_of_the_paper():
    names = [decision.name for decision in NASRLRecurrentSpace(base=2).build().decisions]
    nodes = [f"{name}.{part}" for name in ("node0", "node1", "node2", "inject") for part in ("combine", "activation")]
    assert names == [*nodes, "state_out", "state_in"]
    kinds = {decision.kind for decision in NASRLRecurrentSpace().build().decisions}
    assert kinds == {"combine", "activation", "state"}


def test_figure_5_of_the_paper_is_read_as_it_is_drawn():
    """Add Tanh, ElemMult ReLU, ElemMult Sigmoid; Add ReLU; 1, 0."""
    space = NASRLRecurrentSpace(base=2).build()
    spec = space.decode(space.architecture([0, 1, 1, 3, 1, 2, 0, 3, 1, 0]))
    nodes = (Node("add", "tanh"), Node("elem_mult", "relu"), Node("elem_mult", "sigmoid"))
    assert spec.tree == TreeCell(nodes, Node("add", "relu"), state_out=1, state_in=0)


def test_states_are_at_all_pairs_of_nodes_that_differ():
    """Seen at nodes that all differ, in a tree whose children are in order already."""
    space = NASRLRecurrentSpace(base=2).build()
    found = []
    for state_out in range(3):
        for state_in in range(2):
            tree = space.decode(space.architecture([0, 0, 1, 0, 0, 0, 0, 0, state_out, state_in])).tree
            found.append((tree.state_out, tree.state_in))
    assert sorted(found) == [(a, b) for a in range(3) for b in range(3) if a != b]


def test_exchanged_children_are_one_cell():
    rng, space = Random(0), NASRLRecurrentSpace().build()
    for _ in range(20):
        cell = space.decode(space.sample(rng)).tree
        assert cell.canonical() == cell
        assert _exchanged(cell, 14).canonical() == cell
        assert _exchanged(_exchanged(cell, 8), 13).canonical() == cell
    assert _exchanged(CELL, 12).canonical() == CELL.canonical() != replace(CELL, state_in=9).canonical()


def _exchanged(cell, at):
    """The cell with the two children of a node exchanged, with all that is below them."""
    place = {i: i for i in range(len(cell.nodes))}

    def exchange(a, b):
        place[a], place[b] = b, a
        for below in zip(cell.children(a), cell.children(b), strict=True):
            exchange(*below)

    exchange(*cell.children(at))
    nodes = tuple(cell.nodes[place[i]] for i in range(len(cell.nodes)))
    return TreeCell(nodes, cell.inject, place[cell.state_out], place[cell.state_in])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (PLAIN,) * 4}, "2, 4, 8, 16 leaves, but got 4 nodes"),
        ({"nodes": (PLAIN,) * 5}, "but got 5 nodes"),
        ({"state_out": 0}, r"but got \(0, 0\)"),
        ({"state_in": 3}, r"from 0 to 2, but got \(1, 3\)"),
    ],
)
def test_cell_that_is_no_tree_is_refused(change, message):
    cell = TreeCell((PLAIN,) * 3, PLAIN, state_out=1, state_in=0)
    with pytest.raises(SpecError, match=message):
        replace(cell, **change)


@pytest.mark.parametrize("options", ["base=3", "base=32", "hidden=0", "hidden=4097", "layers=17"])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SpecError, match="but got"):
        spaces.create(f"nas-rl-recurrent:{options}")


def test_options_are_those_of_the_networks():
    space = spaces.create("nas-rl-recurrent:base=4,hidden=16,layers=3,tied=false").build()
    spec = space.decode(space.sample(Random(0)))
    assert (spec.tree.base, spec.hidden, spec.layers, spec.is_tied) == (4, 16, 3, False)


def test_state_goes_in_and_comes_out():
    spec = RecurrentSpec(None, hidden=5, layers=2)
    interface = spec.with_state(Interface.of_words(7))
    assert [(port.name, port.shape) for port in interface.inputs] == [
        ("tokens", (1,)),
        ("h", (1, 2, 5)),
        ("c", (1, 2, 5)),
    ]
    assert [(port.name, port.shape) for port in interface.outputs] == [
        ("logits", (1, 7)),
        ("h", (1, 2, 5)),
        ("c", (1, 2, 5)),
    ]
    assert spec.with_state(interface) == interface == spec.usual_interface(3, 224, 7)


def test_scaling_multiplies_units_and_layers():
    assert RecurrentSpec(CELL, 200, 2).scaled(width=1.5, depth=2, resolution=64) == RecurrentSpec(CELL, 300, 4)
    with pytest.raises(SpecError, match="above 0 and at most 10"):
        RecurrentSpec(CELL, 200, 2).scaled(width=0)


def test_parts_are_embedding_layers_and_decoder():
    embedding, first, second, decoder = RecurrentSpec(CELL, 200, 2).parts()
    assert (first.inputs, second.inputs, decoder.inputs) == (("embedding",), ("layer0",), ("layer1",))
    assert second.words.endswith("c from 12 into 8")
    assert (embedding.filters, decoder.words) == (200, "linear, tied")
    assert RecurrentSpec(None, 200, 1, is_tied=False).parts()[1].words == "LSTM"
