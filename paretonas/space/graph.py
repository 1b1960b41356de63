"""Graphs of what a network repeats or consists of, for people: drawn as papers draw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from paretonas.errors import SpecError

NodeKind = Literal["input", "op", "join", "output"]


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Args:
        name: Unique in its graph.
        words: That stand on it.
        inputs: Names of the nodes that it takes.
        kind: `input`: comes from outside. `op`: computes. `join`: makes one of several. `output`: goes outside.
    """

    name: str
    words: str
    inputs: tuple[str, ...] = ()
    kind: NodeKind = "op"


@dataclass(frozen=True)
class Graph:
    """A picture of a part of a network, without places.

    Args:
        name: "normal cell".
        nodes: In an order in which each takes only nodes before it.

    Raises:
        SpecError: No nodes, two of one name, or one that takes what does not come before it.
    """

    name: str
    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        before: set[str] = set()
        for node in self.nodes:
            if node.name in before or not before.issuperset(node.inputs):
                raise SpecError(f"A node of a graph has a name of its own and takes nodes before it, but got {node}.")
            before.add(node.name)
        if not before:
            raise SpecError(f"A graph has nodes, but {self.name!r} has none.")
