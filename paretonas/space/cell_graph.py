"""A cell as the papers' figures have it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from paretonas.space.graph import Graph, Node

if TYPE_CHECKING:
    from paretonas.space.cell import Cell


def cell_graph(name: str, cell: Cell) -> Graph:
    """Two ops and what joins them a block, and the concatenation of what the cell gives, if that is several states.

    Args:
        name: Of the graph.
        cell: Whose current input is written as h[i], the previous one as h[i-1], and what it gives as h[i+1].
    """
    states = [Node("current", "h[i]", kind="input"), Node("previous", "h[i-1]", kind="input")]
    nodes = list(states)
    for i, block in enumerate(cell.blocks):
        ops = [
            Node(f"block{i}.op{side}", spaced(op), (states[source].name,))
            for side, (source, op) in enumerate(zip(block.inputs, block.ops, strict=True), 1)
        ]
        states.append(Node(f"block{i}", block.combine, tuple(op.name for op in ops), "join"))
        nodes += [*ops, states[-1]]
    last = tuple(states[state].name for state in cell.outputs)
    if len(last) > 1:
        nodes.append(Node("concat", "concat", last, "join"))
        last = ("concat",)
    return Graph(name, (*nodes, Node("next", "h[i+1]", last, "output")))


def spaced(op: str) -> str:
    """The name of an op as people read it.

    >>> spaced("conv1x7_7x1"), spaced("dil_sep3x3")
    ('conv 1x7 7x1', 'dil sep 3x3')
    """
    return re.sub(r"(?<=[a-z])(?=\d)", " ", op.replace("_", " "), count=1)
