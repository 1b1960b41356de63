from paretonas.space.recurrent import Node, RecurrentSpec, TreeCell
from paretonas.space.tree_graph import tree_graph
from paretonas.zoo import zoo_spec

TANH, RELU, SIGMOID = Node("add", "tanh"), Node("elem_mult", "relu"), Node("elem_mult", "sigmoid")


def described(graph):
    return {node.name: (node.words, node.inputs, node.kind) for node in graph.nodes}


def test_the_example_of_the_paper():
    """Source: Zoph and Le, ICLR 2017, figure 5: two leaves, the state into the first, and out of the second."""
    tree = TreeCell((TANH, RELU, SIGMOID), Node("add", "relu"), state_out=1, state_in=0)
    assert described(tree_graph(tree)) == {
        "x": ("x[t]", (), "input"),
        "h": ("h[t-1]", (), "input"),
        "c": ("c[t-1]", (), "input"),
        "node0": ("add", ("x", "h"), "join"),
        "node0.activation": ("tanh", ("node0",), "op"),
        "inject": ("add", ("node0.activation", "c"), "join"),
        "inject.activation": ("relu", ("inject",), "op"),
        "node1": ("elem_mult", ("x", "h"), "join"),
        "node1.activation": ("relu", ("node1",), "op"),
        "node2": ("elem_mult", ("inject.activation", "node1.activation"), "join"),
        "node2.activation": ("sigmoid", ("node2",), "op"),
        "next c": ("c[t]", ("node1",), "output"),
        "next h": ("h[t]", ("node2.activation",), "output"),
    }


def test_the_state_may_join_at_the_root():
    tree = TreeCell((TANH, RELU, SIGMOID), TANH, state_out=0, state_in=2)
    nodes = described(tree_graph(tree))
    assert nodes["next h"][1] == ("inject.activation",)
    assert nodes["inject"][1] == ("node2.activation", "c")


def test_a_network_has_the_graph_of_its_tree_and_an_lstm_none():
    (graph,) = zoo_spec("nascell").graphs()
    assert sum(node.kind == "join" for node in graph.nodes) == 16  # 15 nodes, and where the state joins
    assert RecurrentSpec(None, 8, 1).graphs() == ()
