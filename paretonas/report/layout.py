"""Places for the nodes of a graph, in rows from what goes in, at the bottom, to what comes out, at the top.

Source: Sugiyama, Tagawa and Toda, Methods for Visual Understanding of Hierarchical System Structures, IEEE Transactions
on Systems, Man, and Cybernetics, 1981: rows by the longest path, bends in the rows that an edge passes, the order of a
row by barycenters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from paretonas.space import Graph

Point = tuple[float, float]

ROW, HEIGHT, GAP, MARGIN = 66.0, 26.0, 12.0, 12.0
"""From row to row, height of a node, least distance beside it, and around all, in pixels."""
BEND = 6.0
"""Width that is kept free for an edge that passes a row."""
STRAIGHT = 4.0
"""How much more than a node a bend keeps to its place, so that long edges are straight."""
SWEEPS, ALIGNMENTS = 12, 60
PORTS = 9.0
"""Distance between two edges at one node, where it is wide enough."""


@dataclass(frozen=True)
class Layout:
    """Where everything is, in pixels from the upper left corner.

    Args:
        width: Of all.
        height: Of all.
        centres: Of the nodes, by name.
        edges: Points from one node's upper edge, through bends, to another's lower edge.
    """

    width: float
    height: float
    centres: Mapping[str, Point]
    edges: Sequence[Sequence[Point]]


@dataclass(eq=False)
class _Item:
    """What has a place in a row: a node, or the bend of an edge that passes it."""

    name: str
    row: int
    width: float
    below: list[_Item] = field(default_factory=list)
    above: list[_Item] = field(default_factory=list)
    place: int = 0
    x: float = 0.0


def place(graph: Graph, width_of: Callable[[str], float]) -> Layout:
    """Places for a graph.

    Args:
        graph: To be drawn.
        width_of: Width of a node by its name, in pixels.
    """
    rows, lines = _items(graph, width_of)
    _sort(rows)
    for i in range(ALIGNMENTS):
        for row in rows if i % 2 else reversed(rows):
            _align(row)
    left = min(item.x - item.width / 2 for row in rows for item in row) - MARGIN
    right = max(item.x + item.width / 2 for row in rows for item in row) + MARGIN
    height = ROW * (len(rows) - 1) + HEIGHT + 2 * MARGIN
    for row in rows:
        for item in row:
            item.x -= left
    centres = {item.name: (item.x, _y(item, height)) for row in rows for item in row if item.name}
    return Layout(right - left, height, centres, [_points(line, height) for line in lines])


def rows_of(graph: Graph) -> dict[str, int]:
    """The row of every node: one above the highest that it takes, but ops directly below the lowest that takes them."""
    rows: dict[str, int] = {}
    for node in graph.nodes:
        rows[node.name] = 1 + max((rows[name] for name in node.inputs), default=-1)
    for node in reversed(graph.nodes):
        takers = [rows[other.name] for other in graph.nodes if node.name in other.inputs]
        if node.kind == "op" and takers:
            rows[node.name] = min(takers) - 1
    return rows


def _items(graph: Graph, width_of: Callable[[str], float]) -> tuple[list[list[_Item]], list[list[_Item]]]:
    """The rows of items, and for every edge its items from below."""
    row_of = rows_of(graph)
    items = {node.name: _Item(node.name, row_of[node.name], width_of(node.name)) for node in graph.nodes}
    rows: list[list[_Item]] = [[] for _ in range(1 + max(row_of.values()))]
    lines = []
    for node in graph.nodes:
        rows[row_of[node.name]].append(items[node.name])
        for name in node.inputs:
            bends = [_Item("", row, BEND) for row in range(row_of[name] + 1, row_of[node.name])]
            line = [items[name], *bends, items[node.name]]
            for low, high in pairwise(line):
                low.above.append(high)
                high.below.append(low)
            for bend in bends:
                rows[bend.row].append(bend)
            lines.append(line)
    return rows, lines


def _sort(rows: Sequence[list[_Item]]) -> None:
    """Order the rows so that few edges cross; what one node alone takes ends beside its like."""
    best, fewest = [list(row) for row in rows], None
    for _ in range(SWEEPS):
        for row in rows:
            _number(row)
        for row in rows[1:]:
            row.sort(key=lambda item: _mean([other.place for other in item.below], item.place))
            _number(row)
        for row in reversed(rows[:-1]):
            row.sort(key=lambda item: _mean([other.place for other in item.above], item.place))
            _number(row)
        crossings = sum(map(_crossings, rows))
        if fewest is None or crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    for row, order in zip(rows, best, strict=True):
        row[:] = order
        _number(row)


def _number(row: Sequence[_Item]) -> None:
    for i, item in enumerate(row):
        item.place = i


def _crossings(row: Sequence[_Item]) -> int:
    """Of the edges that leave a row upwards."""
    ends = [(item.place, other.place) for item in row for other in item.above]
    return sum((a[0] - b[0]) * (a[1] - b[1]) < 0 for i, a in enumerate(ends) for b in ends[:i])


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _align(row: Sequence[_Item]) -> None:
    """Move a row's items, in their order and at their distances, as near as can be to what they are connected with.

    The sum of squared distances from where each would like to be is the least: items that would overlap are pooled.
    """
    pools: list[tuple[list[_Item], float, float]] = []  # items, sum of weights, weighted mean of the wished places
    offset, offsets = 0.0, {}
    for before, item in zip([None, *row], row, strict=False):
        offset += 0 if before is None else (before.width + item.width) / 2 + GAP
        offsets[item] = offset
        weight = 1.0 if item.name else STRAIGHT
        pool = ([item], weight, _wish(item) - offset)
        while pools and pools[-1][2] > pool[2]:
            items, others, mean = pools.pop()
            weights = others + pool[1]
            pool = ([*items, *pool[0]], weights, (others * mean + pool[1] * pool[2]) / weights)
        pools.append(pool)
    for items, _, mean in pools:
        for item in items:
            item.x = mean + offsets[item]


def _wish(item: _Item) -> float:
    """Between what it is connected with; the fewer others that has on this side, the nearer to it."""
    others = [(other.x, 1 / len(other.above) ** 2) for other in item.below]
    others += [(other.x, 1 / len(other.below) ** 2) for other in item.above]
    return sum(x * weight for x, weight in others) / sum(weight for _, weight in others) if others else item.x


def _y(item: _Item, height: float) -> float:
    return height - MARGIN - HEIGHT / 2 - ROW * item.row


def _points(line: Sequence[_Item], height: float) -> list[Point]:
    """Out of the first item at the top, past the bends upright, into the last one from below."""
    first, *bends, last = line
    points = [(_port(first, line[1], first.above), _y(first, height) - HEIGHT / 2)]
    for bend in bends:
        points += [(bend.x, _y(bend, height) + HEIGHT / 2), (bend.x, _y(bend, height) - HEIGHT / 2)]
    return [*points, (_port(last, line[-2], last.below), _y(last, height) + HEIGHT / 2)]


def _port(item: _Item, other: _Item, others: Sequence[_Item]) -> float:
    """Where the edge to another item touches this one: side by side, in the order of what they lead to."""
    ordered = sorted(others, key=lambda one: one.place)
    step = min(PORTS, (item.width - 12) / max(1, len(ordered) - 1))
    return item.x + step * (ordered.index(other) - (len(ordered) - 1) / 2)
