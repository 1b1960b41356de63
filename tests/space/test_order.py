from collections import Counter
from itertools import permutations
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from paretonas.space.order import orders_of


def smallest(labels, inputs):
    """What is the same for all numberings of a graph."""
    found = []
    for order in orders_of(labels, inputs):
        place = {node: i for i, node in enumerate(order)}
        found.append([(labels[node], sorted(place[source] for source in inputs[node])) for node in order])
    return min(found)


def renumbered(labels, inputs, rng):
    """The same graph with its nodes in another order, each behind what it takes."""
    left, order = list(range(len(labels))), []
    while left:
        node = rng.choice([n for n in left if all(source in order for source in inputs[n])])
        left.remove(node)
        order.append(node)
    place = {node: i for i, node in enumerate(order)}
    return [labels[node] for node in order], [tuple(place[source] for source in inputs[node]) for node in order]


@given(seed=st.integers(0, 2**32), size=st.integers(1, 9), kinds=st.integers(1, 3))
def test_one_graph_has_one_form_however_it_is_numbered(seed, size, kinds):
    rng = Random(seed)
    labels = [rng.randrange(kinds) for _ in range(size)]
    inputs = [tuple(j for j in range(i) if rng.random() < 0.4) for i in range(size)]
    form = smallest(labels, inputs)
    assert smallest(*renumbered(labels, inputs, rng)) == form
    assert Counter(label for label, _ in form) == Counter(labels)


def test_different_graphs_have_different_forms():
    """All 64 graphs of four nodes of one kind; those that are one but for their numbers are found by trying all."""
    pairs = [(i, j) for j in range(4) for i in range(j)]
    graphs = [[pair for bit, pair in enumerate(pairs) if number >> bit & 1] for number in range(64)]
    every = [list(zip(range(4), order, strict=True)) for order in permutations(range(4))]
    classes = {min(sorted((dict(m)[a], dict(m)[b]) for a, b in graph).__repr__() for m in every) for graph in graphs}
    forms = {str(smallest("aaaa", [tuple(i for i, j in graph if j == node) for node in range(4)])) for graph in graphs}
    assert len(forms) == len(classes)


def test_what_no_neighbours_tell_apart_is_told_apart_by_trying():
    """A ring of twelve and two of six, each node taking two or taken by two: locally they are alike."""

    def rings(*sizes):
        inputs, begin = [()] * sum(sizes), 0
        for size in sizes:
            inputs += [(begin + i, begin + (i + 1) % size) for i in range(size)]
            begin += size
        return inputs

    one, two = (smallest("a" * 12, rings(*sizes)) for sizes in ((6,), (3, 3)))
    assert one != two
    assert smallest(*renumbered("a" * 12, rings(3, 3), Random(0))) == two


def test_nodes_that_stand_for_one_another_are_not_tried_in_all_orders():
    assert list(orders_of("a" * 30, [()] * 30)) == [list(range(30))]
