from paretonas.space.cell import Block, Cell, CellSpec
from paretonas.space.cell_graph import cell_graph
from paretonas.zoo import zoo_spec

PLAIN = Cell((Block((0, 1), ("sep3x3", "identity")),))


def described(graph):
    return [(node.name, node.words, node.inputs, node.kind) for node in graph.nodes]


def test_a_cell_of_one_block_has_no_concatenation():
    assert described(cell_graph("cell", PLAIN)) == [
        ("current", "h[i]", (), "input"),
        ("previous", "h[i-1]", (), "input"),
        ("block0.op1", "sep 3x3", ("current",), "op"),
        ("block0.op2", "identity", ("previous",), "op"),
        ("block0", "add", ("block0.op1", "block0.op2"), "join"),
        ("next", "h[i+1]", ("block0",), "output"),
    ]


def test_ops_of_a_block_take_what_it_says_and_outputs_are_concatenated():
    cell = Cell((*PLAIN.blocks, Block((2, 2), ("max3x3", "conv1x7_7x1"), "concat")), outputs=(1, 2, 3))
    nodes = {node.name: node for node in cell_graph("cell", cell).nodes}
    assert nodes["block1.op1"].inputs == nodes["block1.op2"].inputs == ("block0",)
    assert (nodes["block1.op2"].words, nodes["block1"].words) == ("conv 1x7 7x1", "concat")
    assert nodes["concat"].inputs == ("previous", "block0", "block1")
    assert nodes["next"].inputs == ("concat",)


def test_a_network_has_the_graphs_of_its_cells():
    assert [graph.name for graph in CellSpec(PLAIN, None, 3, 8, 24).graphs()] == ["cell"]
    assert [graph.name for graph in CellSpec(PLAIN, PLAIN, 3, 8, 24).graphs()] == ["normal cell", "reduction cell"]


def test_the_normal_cell_of_nasnet_a_is_that_of_the_papers_figure():
    """Source: Zoph et al., CVPR 2018, figure 4; that the previous input is concatenated too is the released code's."""
    normal = zoo_spec("nasnet-a").graphs()[0]
    nodes = {node.name: node for node in normal.nodes}
    blocks = {
        frozenset((nodes[op].words, nodes[nodes[op].inputs[0]].words) for op in node.inputs)
        for node in normal.nodes
        if node.words == "add"
    }
    assert blocks == {
        frozenset({("sep 3x3", "h[i]"), ("identity", "h[i]")}),
        frozenset({("sep 3x3", "h[i-1]"), ("sep 5x5", "h[i]")}),
        frozenset({("avg 3x3", "h[i]"), ("identity", "h[i-1]")}),
        frozenset({("avg 3x3", "h[i-1]")}),
        frozenset({("sep 5x5", "h[i-1]"), ("sep 3x3", "h[i-1]")}),
    }
    assert set(nodes["concat"].inputs) == {"previous", *(f"block{i}" for i in range(5))}
