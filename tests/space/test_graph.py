import pytest

from paretonas.errors import SpecError
from paretonas.space import ForeignSpec, Graph, Node


@pytest.mark.parametrize(
    "nodes",
    [
        (),
        (Node("a", "a"), Node("a", "b")),
        (Node("a", "a", ("b",)), Node("b", "b")),
        (Node("a", "a", ("a",)),),
    ],
)
def test_nodes_take_nodes_before_them(nodes):
    with pytest.raises(SpecError, match="graph"):
        Graph("x", nodes)


def test_a_spec_that_says_nothing_has_no_graphs():
    assert ForeignSpec("timm:resnet18").graphs() == ()
