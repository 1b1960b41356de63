"""A recurrent cell as the paper's figures have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paretonas.space.graph import Graph, Node

if TYPE_CHECKING:
    from paretonas.space.recurrent import TreeCell


def tree_graph(tree: TreeCell) -> Graph:
    """The tree from its leaves up: how each node joins two tensors, and the activation above that.

    Args:
        tree: Of step t: it is fed x[t], its last output h[t-1] and its last state c[t-1], and gives h[t] and c[t].
    """
    nodes = [Node(name, f"{name}[{time}]", kind="input") for name, time in (("x", "t"), ("h", "t-1"), ("c", "t-1"))]
    outputs: list[Node] = []
    values: list[str] = []
    for i, node in enumerate(tree.nodes):
        joined = tuple(values[child] for child in tree.children(i)) or ("x", "h")
        steps = [(f"node{i}", node, joined)]
        steps += [("inject", tree.inject, (f"node{i}.activation", "c"))] if i == tree.state_in else []
        for name, step, inputs in steps:
            nodes += [
                Node(name, step.combine, inputs, "join"),
                Node(f"{name}.activation", step.activation, (name,)),
            ]
        values.append(nodes[-1].name)
        outputs += [Node("next c", "c[t]", (f"node{i}",), "output")] if i == tree.state_out else []
    return Graph("recurrent cell", (*nodes, *outputs, Node("next h", "h[t]", (values[-1],), "output")))
