"""Orders of a graph's nodes that do not depend on how they were numbered, so that equal graphs become one.

Source: ours; the refinement of colours that programs for graph isomorphism begin with (McKay and Piperno, Practical
Graph Isomorphism II, 2014, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any


def orders_of(labels: Sequence[Any], inputs: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Orders of the nodes, each behind what it takes: all that two numberings of one graph have in common.

    Nodes come by depth, label and place among the others. Where that leaves nodes alike, each comes first in turn, but
    for those that take the same and are taken by the same: their order changes nothing. There may be many orders;
    whoever wants one graph for all numberings takes that which gives the smallest.

    Args:
        labels: What each node is; hashable, and ordered among themselves.
        inputs: Which earlier nodes each takes.

    >>> list(orders_of("ba", [(), ()]))
    [[1, 0]]
    """
    graph = _Graph(inputs)
    return graph.orders(graph.refine(list(zip(graph.depths, labels, strict=True))))


class _Graph:
    """Ranks are what is known of each node: equal for nodes that look alike."""

    def __init__(self, inputs: Sequence[Sequence[int]]):
        self.inputs = inputs
        self.takers: list[list[int]] = [[] for _ in inputs]
        self.depths: list[int] = []
        for node, sources in enumerate(inputs):
            self.depths.append(1 + max((self.depths[source] for source in sources), default=-1))
            for source in sources:
                self.takers[source].append(node)

    def refine(self, keys: Sequence[Any]) -> list[int]:
        """Ranks by these keys, and by the ranks of what a node takes and of what takes it, until nothing changes."""
        ranks, before = _ranks(keys), None
        while ranks != before:
            before = ranks
            around = [
                (rank, *(tuple(sorted(before[other] for other in others)) for others in (sources, takers)))
                for rank, sources, takers in zip(before, self.inputs, self.takers, strict=True)
            ]
            ranks = _ranks(around)
        return ranks

    def orders(self, ranks: Sequence[int]) -> Iterator[list[int]]:
        """By rank; where nodes of one rank are connected differently, with each first in turn."""
        for rank in sorted(set(ranks)):
            alike = [node for node, one in enumerate(ranks) if one == rank]
            places = {(*self.inputs[node], -1, *self.takers[node]): node for node in alike}
            if len(places) > 1:
                for first in places.values():
                    yield from self.orders(self.refine([(one, node != first) for node, one in enumerate(ranks)]))
                return
        yield sorted(range(len(ranks)), key=ranks.__getitem__)


def _ranks(keys: Sequence[Any]) -> list[int]:
    """How many different keys are smaller than each."""
    place = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return [place[key] for key in keys]
