from pathlib import Path
from random import Random
from xml.etree import ElementTree

import pytest

from paretonas.errors import UsageError
from paretonas.report.graphs import draw_graph, drawn_graphs, save_graphs
from paretonas.space import Graph, Node, spaces
from paretonas.zoo import zoo_spec

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert('x')</script>\"&amp;\x1b"


def words(picture):
    return [element.text for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def boxes(picture):
    return [tuple(float(box.get(key)) for key in ("x", "y", "width", "height"))
            for box in ElementTree.fromstring(picture).iter(f"{SVG}rect")]  # fmt: skip


def test_the_cells_of_nasnet_a_have_their_blocks():
    normal, reduction = drawn_graphs(zoo_spec("nasnet-a"))
    assert (normal.name, reduction.name) == ("normal cell", "reduction cell")
    found = words(normal.svg)
    assert sorted(found) == sorted(
        ["h[i]", "h[i-1]", "h[i+1]", "concat"] + ["add"] * 5 + ["sep 3x3"] * 3 + ["sep 5x5"] * 2 + ["avg 3x3"] * 3
        + ["identity"] * 2
    )  # fmt: skip
    assert len(boxes(normal.svg)) == len(found)


@pytest.mark.parametrize("space", ["nasnet", "pnasnet:blocks=10", "amoebanet", "nas-rl-chain"])
def test_words_fit_their_boxes(space):
    """As wide as Pillow's own font has them."""
    from PIL import ImageFont

    font, built = ImageFont.load_default(size=12), spaces.create(space).build()
    for graph in drawn_graphs(built.decode(built.sample(Random(0)))):
        for text, (_, _, width, _) in zip(words(graph.svg), boxes(graph.svg), strict=True):
            assert font.getlength(text) <= width - 6, text


def test_what_nodes_are_called_is_text():
    picture = draw_graph(Graph(HOSTILE, (Node(HOSTILE, HOSTILE),))).svg
    assert "<script" not in picture
    assert "\x1b" not in picture
    (shown,) = words(picture)
    assert shown == HOSTILE.replace("\x1b", "\\x1b")


def test_a_node_without_edges_is_drawn():
    assert words(draw_graph(Graph("one", (Node("a", "alone"), Node("b", "too")))).svg) == ["alone", "too"]


@pytest.mark.parametrize("suffix", [".svg", ".png", ".html"])
def test_pictures_are_written_one_below_the_other(tmp_path, suffix):
    path = tmp_path / f"cells{suffix}"
    save_graphs(zoo_spec("nasnet-a"), path)
    if suffix == ".png":
        assert path.read_bytes().startswith(b"\x89PNG")
        return
    found = path.read_text(encoding="utf-8")
    assert found.index("normal cell") < found.index("reduction cell")
    assert "<script" not in found
    if suffix == ".html":
        assert "default-src 'none'; script-src 'none'" in found
    else:
        assert words(found)[0] == "normal cell"


def test_a_network_without_cells_has_no_picture(tmp_path):
    assert drawn_graphs(zoo_spec("mnasnet-a1")) == []
    with pytest.raises(UsageError, match="kind 'mnasnet' has none"):
        save_graphs(zoo_spec("mnasnet-a1"), tmp_path / "x.svg")
    with pytest.raises(UsageError, match="written as"):
        save_graphs(zoo_spec("nasnet-a"), Path("x.pdf"))
