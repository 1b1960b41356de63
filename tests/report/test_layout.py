from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.report.layout import GAP, HEIGHT, place, rows_of
from paretonas.space import Graph, Node
from paretonas.space.cell import Block, Cell
from paretonas.space.cell_graph import cell_graph


def width(name):
    return 40.0 + 5 * len(name)


def drawn(seed):
    """A graph of random nodes and edges."""
    rng, nodes = Random(seed), []
    for i in range(rng.randrange(1, 20)):
        taken = rng.sample([node.name for node in nodes], min(i, rng.randrange(4)))
        nodes.append(Node(f"n{i}" * rng.randrange(1, 4), "x", tuple(taken), rng.choice(["op", "join"])))
    return Graph("random", tuple(nodes))


def test_ops_stand_below_what_takes_them_and_all_else_above_what_it_takes():
    cell = Cell((Block((0, 1), ("sep3x3", "identity")), Block((2, 1), ("max3x3", "avg3x3"))), outputs=(0, 3))
    assert rows_of(cell_graph("cell", cell)) == {
        "current": 0, "previous": 0, "block0.op1": 1, "block0.op2": 1, "block0": 2,
        "block1.op1": 3, "block1.op2": 3, "block1": 4, "concat": 5, "next": 6,
    }  # fmt: skip


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_overlaps_and_all_is_within_the_picture(seed):
    graph = drawn(seed)
    layout = place(graph, width)
    boxes = [(*layout.centres[node.name], width(node.name)) for node in graph.nodes]
    for i, (x, y, w) in enumerate(boxes):
        assert w / 2 < x < layout.width - w / 2
        assert HEIGHT / 2 < y < layout.height - HEIGHT / 2
        for other_x, other_y, other_w in boxes[:i]:
            assert abs(y - other_y) > HEIGHT or abs(x - other_x) >= (w + other_w) / 2 + GAP - 1e-6


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_edges_lead_upwards_from_node_to_node_and_pass_beside_all_others(seed):
    graph = drawn(seed)
    layout = place(graph, width)
    ends = [(name, node.name) for node in graph.nodes for name in node.inputs]
    for (low, high), points in zip(ends, layout.edges, strict=True):
        for name, (x, y), side in ((low, points[0], -1), (high, points[-1], 1)):
            centre = layout.centres[name]
            assert abs(x - centre[0]) <= width(name) / 2
            assert abs(y - centre[1] - side * HEIGHT / 2) < 1e-6
        assert all(after[1] < before[1] for before, after in pairwise(points))
        for x, y in points[1:-1]:
            for name, (other_x, other_y) in layout.centres.items():
                assert abs(y - other_y) > HEIGHT or abs(x - other_x) >= width(name) / 2 + GAP - 1e-6


def test_what_joins_two_ops_stands_over_their_middle():
    """Five blocks on two inputs: NASNet-A's normal cell has this form, and looks so in the paper."""
    cell = Cell(tuple(Block((i % 2, 1), ("sep3x3", "identity")) for i in range(5)))
    layout = place(cell_graph("cell", cell), width)
    for i in range(5):
        ops = sorted(layout.centres[f"block{i}.op{side}"][0] for side in (1, 2))
        assert abs(layout.centres[f"block{i}"][0] - sum(ops) / 2) < 10
        assert ops[1] - ops[0] < 2 * width("block0.op1")  # side by side


def test_a_graph_is_laid_out_the_same_every_time():
    assert place(drawn(7), width) == place(drawn(7), width)
