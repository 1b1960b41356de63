"""NAS-RL's recurrent cells, and the space of them.

A cell is a complete binary tree. A leaf joins its own share of the input with its own share of the last output,
`x_t K_i` and `h_{t-1} R_i`; a node above joins its two children. Both then apply an activation, and the root gives the
output `h_t`. One node's value takes in the old state `c_{t-1}`; another's, before its activation, is the new `c_t`.
Nothing but the leaves has weights.

Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 3.4 and figure 5.
Differs: subtrees that are exchanged compute the same, so a spec has them in one order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, get_args

from paretonas.errors import SpecError
from paretonas.space.graph import Graph
from paretonas.space.interface import Interface, Port
from paretonas.space.space import Choice, Decision, SearchSpace
from paretonas.space.spec import Part, Spec, check_multipliers
from paretonas.space.tree_graph import tree_graph

Combine = Literal["add", "elem_mult"]
Activation = Literal["identity", "tanh", "sigmoid", "relu"]

BASES = (2, 4, 8, 16)
"""Numbers of leaves that a complete binary tree may have here."""
MOST_HIDDEN, MOST_LAYERS = 4096, 16
GATES_OF_LSTM = 4


@dataclass(frozen=True, order=True)
class Node:
    """How two tensors become one.

    Args:
        combine: Sum or product, number by number.
        activation: Of the result.
    """

    combine: Combine
    activation: Activation


@dataclass(frozen=True)
class TreeCell:
    """A recurrent cell as a complete binary tree.

    Args:
        nodes: The leaves, then level by level up to the root. With b leaves, node `b + i` joins nodes `2 i` and
            `2 i + 1`.
        inject: How the old state joins the value of the node `state_in`, whose value this then is.
        state_out: Node whose value before its activation is the new state.
        state_in: Node whose value the old state joins; another one.

    Raises:
        SpecError: A number of nodes that no such tree has, or states at no node or at the same.
    """

    nodes: tuple[Node, ...]
    inject: Node
    state_out: int
    state_in: int

    def __post_init__(self) -> None:
        if self.base not in BASES or len(self.nodes) != 2 * self.base - 1:
            raise SpecError(f"A tree has {', '.join(map(str, BASES))} leaves, but got {len(self.nodes)} nodes in all.")
        states = (self.state_out, self.state_in)
        if not all(0 <= node < len(self.nodes) for node in states) or self.state_out == self.state_in:
            raise SpecError(
                f"The state leaves and joins a tree at two nodes from 0 to {len(self.nodes) - 1}, but got {states}."
            )

    @property
    def base(self) -> int:
        """Number of leaves."""
        return (len(self.nodes) + 1) // 2

    def children(self, node: int) -> tuple[int, ...]:
        """The two nodes that a node joins; none of a leaf."""
        first = 2 * (node - self.base)
        return (first, first + 1) if node >= self.base else ()

    def canonical(self) -> TreeCell:
        """The cell that stands for all which differ from it in the order of two children alone."""
        keys: list[tuple[Any, ...]] = []
        for i, node in enumerate(self.nodes):
            below = sorted(keys[child] for child in self.children(i))
            keys.append((node, i == self.state_out, i == self.state_in, below))
        level, order = [len(self.nodes) - 1], list[int]()
        while level:
            order = level + order
            level = [child for i in level for child in sorted(self.children(i), key=keys.__getitem__)]
        nodes = tuple(self.nodes[i] for i in order)
        return TreeCell(nodes, self.inject, order.index(self.state_out), order.index(self.state_in))


@dataclass(frozen=True)
class RecurrentSpec(Spec):
    """A network that reads one word after the other and says which comes next: embedding, recurrent layers, decoder.

    Args:
        tree: The cell of each layer, without biases; None: an LSTM's.
        hidden: Units of each layer, and numbers that stand for a word.
        layers: One on the other.
        is_tied: Whether the decoder has the weights of the embedding.

    Raises:
        SpecError: A size out of its range.
    """

    kind: ClassVar[str] = "recurrent"
    tree: TreeCell | None
    hidden: int
    layers: int
    is_tied: bool = True

    def __post_init__(self) -> None:
        if not (1 <= self.hidden <= MOST_HIDDEN and 1 <= self.layers <= MOST_LAYERS):
            raise SpecError(
                f"`1 <= hidden <= {MOST_HIDDEN}` and `1 <= layers <= {MOST_LAYERS}` must hold, but got "
                f"(hidden={self.hidden}, layers={self.layers})."
            )

    @property
    def gates(self) -> int:
        """Shares of the input and of the last output that a layer computes."""
        return GATES_OF_LSTM if self.tree is None else self.tree.base

    def with_state(self, interface: Interface) -> Interface:
        """The outputs `h` and states `c` of all layers, (1, layers, hidden), go in and come out beside the rest."""
        states = tuple(Port(name, (1, self.layers, self.hidden)) for name in ("h", "c"))
        return Interface((*interface.inputs[:1], *states), (*interface.outputs[:1], *states))

    def usual_interface(self, channels: int, resolution: int, classes: int) -> Interface:
        """So many words instead of classes."""
        return self.with_state(Interface.of_words(classes))

    def parts(self) -> tuple[Part, ...]:
        """Embedding, layers and decoder."""
        parts = [Part("embedding", ("embedding",), "embedding", self.hidden)]
        words = "LSTM" if self.tree is None else _words(self.tree)
        for i in range(self.layers):
            parts.append(Part(f"layer{i}", (f"layers.{i}",), words, self.hidden, inputs=(parts[-1].name,)))
        words = "linear, tied" if self.is_tied else "linear"
        return (*parts, Part("decoder", ("decoder",), words, inputs=(parts[-1].name,)))

    def graphs(self) -> tuple[Graph, ...]:
        """The tree; none of an LSTM."""
        return () if self.tree is None else (tree_graph(self.tree),)

    def scaled(self, width: float = 1.0, depth: float = 1.0, resolution: int | None = None) -> RecurrentSpec:
        """With so many times the units and layers, rounded.

        Raises:
            SpecError: `width` or `depth` is not in (0, 10].
        """
        check_multipliers(width, depth)
        return replace(self, hidden=max(1, round(self.hidden * width)), layers=max(1, round(self.layers * depth)))


@dataclass(frozen=True)
class NASRLRecurrentSpace:
    """NAS-RL's recurrent cells: a tree of nodes, each with a combination and an activation, and where the state joins.

    Args:
        base: Leaves of the tree: 2, 4, 8 or 16.
        hidden: Units of each layer.
        layers: Of the network.
        tied: Whether the decoder has the weights of the embedding.

    Raises:
        SpecError: A number out of its range.
    """

    base: int = 8
    hidden: int = 200
    layers: int = 2
    tied: bool = True

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise SpecError(f"A tree has {', '.join(map(str, BASES))} leaves, but got (base={self.base}).")
        self._network(None)

    def build(self) -> SearchSpace:
        """The space, its decisions in the paper's order: all nodes, how the old state joins, the nodes of the state.

        `state_in` has one choice less than `state_out`: the two differ, and its choice of the node of `state_out` means
        the root.
        """
        nodes, last = [f"node{i}" for i in range(2 * self.base - 1)], 2 * self.base - 2
        decisions = [decision for name in (*nodes, "inject") for decision in _node_decisions(name)]
        decisions.append(Decision("state_out", tuple(range(last + 1)), "state"))
        decisions.append(Decision("state_in", tuple(range(last)), "state"))

        def decode(values: Mapping[str, Choice]) -> RecurrentSpec:
            *tree, inject = (_node(values, name) for name in (*nodes, "inject"))
            state_out, state_in = int(values["state_out"]), int(values["state_in"])
            cell = TreeCell(tuple(tree), inject, state_out, last if state_in == state_out else state_in)
            return self._network(cell.canonical())

        given = [f"{f.name}={_text(getattr(self, f.name))}" for f in fields(self) if getattr(self, f.name) != f.default]
        return SearchSpace("nas-rl-recurrent" + (":" + ",".join(given) if given else ""), tuple(decisions), decode)

    def _network(self, tree: TreeCell | None) -> RecurrentSpec:
        return RecurrentSpec(tree, self.hidden, self.layers, self.tied)


def _node_decisions(name: str) -> tuple[Decision, Decision]:
    combine = Decision(f"{name}.combine", get_args(Combine), "combine")
    return combine, Decision(f"{name}.activation", get_args(Activation), "activation")


def _node(values: Mapping[str, Choice], name: str) -> Node:
    return Node(values[f"{name}.combine"], values[f"{name}.activation"])  # type: ignore[arg-type]


def _text(value: int | bool) -> str:
    return str(value).lower()


def _words(tree: TreeCell) -> str:
    shown = [f"{node.activation} {'+' if node.combine == 'add' else '*'}" for node in tree.nodes]
    leaves, joints = ", ".join(shown[: tree.base]), ", ".join(shown[tree.base :])
    return f"leaves {leaves}; nodes {joints}; c from {tree.state_out} into {tree.state_in}"
