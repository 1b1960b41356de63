"""Graphs as pictures: cells as papers draw them, from the inputs at the bottom to the output at the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import vl_convert
from markupsafe import Markup

from paretonas.errors import UsageError
from paretonas.files import write_text, written_aside
from paretonas.report.figure import check_figure_path
from paretonas.report.html import html
from paretonas.report.layout import HEIGHT, Point, place
from paretonas.report.plain import shown
from paretonas.space import Graph, Node, Spec

FONT = 'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif" font-size="12"'
LETTER = 6.9
"""Width that is kept for a letter of that size, in pixels."""
FILLS = {"input": "#e9edf1", "op": "#fbf0df", "join": "#dfeadd", "output": "#e9edf1"}
STROKES = {"input": "#8a8f98", "op": "#c98b3f", "join": "#6f9e6a", "output": "#8a8f98"}
INK, LINE = "#1d2329", "#7b858f"
TITLE = 28.0
"""Height of a picture's name above it, in pixels."""


@dataclass(frozen=True)
class DrawnGraph:
    """A picture and what it is of.

    Args:
        name: "normal cell".
        content: Elements of SVG.
        width: In pixels.
        height: In pixels.
    """

    name: str
    content: Markup
    width: float
    height: float

    @property
    def svg(self) -> Markup:
        """The picture as an element that stands for itself."""
        return _svg(self.content, self.width, self.height, self.name)


def drawn_graphs(spec: Spec) -> list[DrawnGraph]:
    """The graphs of a network as pictures; none if it tells none."""
    return [draw_graph(graph) for graph in spec.graphs()]


def draw_graph(graph: Graph) -> DrawnGraph:
    """A graph as a picture. Whatever a node is called is text in it."""
    nodes = {node.name: node for node in graph.nodes}
    layout = place(graph, lambda name: _width(nodes[name]))
    edges = Markup("").join(_edge(points) for points in layout.edges)
    boxes = Markup("").join(_box(node, layout.centres[node.name]) for node in graph.nodes)
    return DrawnGraph(shown(graph.name), edges + boxes, layout.width, layout.height)


def save_graphs(spec: Spec, path: Path) -> None:
    """Write the graphs of a network, one below the other, as SVG, PNG or HTML, by the suffix.

    Raises:
        UsageError: It has none, or the path has another suffix or no folder.
        MachineError: The system refuses the file.
    """
    check_figure_path(path)
    graphs, kind = drawn_graphs(spec), path.suffix.lower()
    if not graphs:
        raise UsageError(f"A picture is of a network's cells, but one of kind {spec.kind!r} has none.")
    if kind == ".html":
        write_text(path, html("graphs.html", {"title": path.stem, "graphs": graphs}, {}))
    elif kind == ".svg":
        write_text(path, stacked(graphs))
    else:
        with written_aside(path) as draft:
            draft.write_bytes(vl_convert.svg_to_png(stacked(graphs), scale=2.0))


def stacked(graphs: Sequence[DrawnGraph]) -> Markup:
    """Pictures with their names, one below the other on white, as one."""
    width, y, content = max(graph.width for graph in graphs), 0.0, Markup("")
    for graph in graphs:
        content += Markup('<text x="12" y="{:.0f}" font-weight="600" fill="{}">{}</text>').format(
            y + 20, INK, graph.name
        )
        content += Markup('<g transform="translate({:.1f},{:.0f})">{}</g>').format(
            (width - graph.width) / 2, y + TITLE, graph.content
        )
        y += TITLE + graph.height
    white = Markup('<rect width="100%" height="100%" fill="#fff"/>')
    return _svg(white + content, width, y, " and ".join(graph.name for graph in graphs))


def _svg(content: Markup, width: float, height: float, label: str) -> Markup:
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" '
        'role="img" aria-label="{2}" {3}>{4}</svg>'
    ).format(width, height, label, Markup(FONT), content)


def _width(node: Node) -> float:
    return max(30.0, LETTER * len(shown(node.words)) + 14)


def _box(node: Node, centre: Point) -> Markup:
    x, y = centre
    width = _width(node)
    radius = HEIGHT / 2 if node.kind == "join" else 4
    return Markup(
        '<g><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="{}" fill="{}" stroke="{}"/>'
        '<text x="{}" y="{}" text-anchor="middle" fill="{}">{}</text></g>'
    ).format(
        shown(node.name), *(f"{number:.1f}" for number in (x - width / 2, y - HEIGHT / 2, width, HEIGHT, radius)),
        FILLS[node.kind], STROKES[node.kind], f"{x:.1f}", f"{y + 4:.1f}", INK, shown(node.words),
    )  # fmt: skip


def _edge(points: Sequence[Point]) -> Markup:
    """Curves that are upright at every point, and a head at the last."""
    path = "M{:.1f},{:.1f}".format(*points[0])
    for (x0, y0), (x1, y1) in pairwise(points):
        middle = (y0 + y1) / 2
        path += f" C{x0:.1f},{middle:.1f} {x1:.1f},{middle:.1f} {x1:.1f},{y1:.1f}"
    x, y = points[-1]
    head = f"M{x:.1f},{y:.1f} l-3.2,6 h6.4 z"
    return Markup('<path d="{}" fill="none" stroke="{}"/><path d="{}" fill="{}"/>').format(path, LINE, head, LINE)
