import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.objective import front, front_trials, hypervolume
from paretonas.space import Architecture
from paretonas.trial import State, Trial

NAN = math.nan
# Small whole numbers, so that points tie and repeat.
dimensions = st.integers(1, 4)
points = dimensions.flatmap(lambda m: st.lists(st.tuples(*[st.integers(0, 4)] * m), max_size=8))
examples = settings(max_examples=150, deadline=None, database=None, derandomize=True)


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and any(x > y for x, y in zip(a, b, strict=True))


def cells_below(points):
    """Unit cells of the grid that the points dominate, counted one by one."""
    m = len(points[0]) if points else 1
    return sum(
        any(all(x > c for x, c in zip(p, cell, strict=True)) for p in points) for cell in product(range(4), repeat=m)
    )


@pytest.mark.parametrize(
    ("given_points", "best"),
    [
        ([], []),
        ([(3.0,)], [0]),
        ([(1,), (3,), (2,)], [1]),
        ([(1, 1), (2, 0), (0, 0), (2, 0)], [0, 1]),
        ([(1, 5), (2, 4), (2, 3), (3, 3), (0, 6)], [0, 1, 3, 4]),
        ([(1, 1), (1, 1), (1, 1)], [0]),  # of equal points the first
        ([(1, 2), (1, 3), (2, 2)], [1, 2]),
        ([(1, 2, 3), (3, 2, 1), (2, 2, 2), (1, 2, 2), (2, 2, 1)], [0, 1, 2]),
        ([(-1.0, -1.0), (-math.inf, 5.0), (math.inf, -5.0)], [0, 1, 2]),
        # MnasNet's table 1, accuracy and negative latency: MobileNetV2 and the three MnasNets, not NASNet-A
        ([(72.0, -75), (75.2, -78), (75.6, -84), (76.7, -103), (74.0, -183)], [0, 1, 2, 3]),
    ],
)
def test_front_by_hand(given_points, best):
    assert front(given_points) == best


@pytest.mark.parametrize(
    ("given_points", "best"),
    [
        ([(NAN,)], []),
        ([(NAN, 1), (0, 0)], [1]),
        ([(9, NAN), (1, 1), (2, 2)], [2]),
        ([(1,), (NAN,), (2,)], [2]),  # a NaN in between hides nobody
        ([(1, 1), (NAN, NAN), (2, 2), (NAN, 3), (3, 3)], [4]),
    ],
)
def test_front_leaves_out_points_with_nan(given_points, best):
    assert front(given_points) == best


@examples
@given(points=points)
def test_front_is_that_of_brute_force(points):
    first = [p for i, p in enumerate(points) if p not in points[:i]]
    best = [p for p in first if not any(dominates(q, p) for q in points)]
    found = front(points)
    assert [points[i] for i in found] == best
    assert found == [points.index(p) for p in best]


@examples
@given(points=points, data=st.data())
def test_front_does_not_depend_on_the_order(points, data):
    shuffled = data.draw(st.permutations(points))
    assert {points[i] for i in front(points)} == {shuffled[i] for i in front(shuffled)}


@examples
@given(points=points, data=st.data())
def test_front_with_nan_is_that_of_the_others(points, data):
    if not points:
        return
    where = data.draw(st.integers(0, len(points)))
    damaged = list(points[data.draw(st.integers(0, len(points) - 1))])
    damaged[data.draw(st.integers(0, len(damaged) - 1))] = NAN
    with_nan = [*points[:where], tuple(damaged), *points[where:]]
    assert [with_nan[i] for i in front(with_nan)] == [points[i] for i in front(points)]


@pytest.mark.parametrize(
    ("given_points", "reference", "volume"),
    [
        ([], (0, 0), 0.0),
        ([(5,)], (2,), 3.0),
        ([(5,), (3,), (4,)], (2,), 3.0),
        ([(1, 2), (2, 1)], (0, 0), 3.0),
        ([(1, 3), (2, 2), (3, 1)], (0, 0), 6.0),
        ([(1, 3), (2, 2), (3, 1)], (-1, -2), 17.0),  # columns of width 2, 1, 1 and height 5, 4, 3
        ([(0.5, 0.5), (0.5, 0.5), (0.25, 0.25)], (0, 0), 0.25),
        ([(2, 2), (2, 0), (0, 2), (-1, 9)], (0, 0), 4.0),  # on the border or beyond: nothing
        ([(2, 3, 4)], (1, 1, 1), 6.0),
        ([(1, 1, 2), (1, 2, 1), (2, 1, 1)], (0, 0, 0), 4.0),  # a cube with one on each of three faces
        ([(1, 2, 3), (3, 2, 1), (2, 3, 2)], (0, 0, 0), 6 + 6 + 12 - 4 - 2 - 4 + 2),
        ([(2, 2, 2, 2)], (0, 0, 0, 0), 16.0),
        ([(2, 1, 1, 1), (1, 2, 1, 1), (1, 1, 2, 1), (1, 1, 1, 2)], (0, 0, 0, 0), 5.0),
        ([(2, 2, 1, 1), (1, 1, 2, 2)], (0, 0, 0, 0), 4 + 4 - 1),
        ([(NAN, 3), (1, 1)], (0, 0), 1.0),
    ],
)
def test_hypervolume_by_hand(given_points, reference, volume):
    assert hypervolume(given_points, reference) == volume


@pytest.mark.parametrize("n", [1, 2, 10, 40])
def test_hypervolume_of_a_staircase_has_a_closed_form(n):
    # (i / n, 1 - (i - 1) / n) for i = 1..n: the triangle and half a step more, (n + 1) / 2n
    staircase = [(i / n, 1 - (i - 1) / n) for i in range(1, n + 1)]
    assert hypervolume(staircase, (0.0, 0.0)) == pytest.approx((n + 1) / (2 * n), rel=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_hypervolume_of_a_corner_cut_from_a_cube(m):
    # Points that are 1 but for one coordinate of 1/2: all but the small cube, 1 - 2 ** -m
    corners = [tuple(0.5 if i == j else 1.0 for j in range(m)) for i in range(m)]
    missing = 0.5 if m == 1 else 0.5**m
    assert hypervolume(corners, (0.0,) * m) == pytest.approx(1 - missing, rel=1e-12)


@examples
@given(points=points)
def test_hypervolume_is_the_number_of_cells_below(points):
    m = len(points[0]) if points else 1
    assert hypervolume(points, (0,) * m) == cells_below(points)


@examples
@given(points=points, data=st.data())
def test_hypervolume_grows_with_points_and_is_that_of_the_front(points, data):
    m = len(points[0]) if points else 1
    volume = hypervolume(points, (0,) * m)
    more = data.draw(st.tuples(*[st.integers(0, 4)] * m))
    grown = hypervolume([*points, more], (0,) * m)
    assert grown >= volume
    is_new = all(x > 0 for x in more) and not any(all(x >= y for x, y in zip(p, more, strict=True)) for p in points)
    assert (grown > volume) is is_new
    assert hypervolume([points[i] for i in front(points)], (0,) * m) == volume
    assert hypervolume(data.draw(st.permutations(points)), (0,) * m) == volume


def test_points_and_reference_have_one_dimension():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        hypervolume([(1, 2, 3)], (0, 0))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        front([(1, 2), (1,)])


# Trials


def _trial(number, state=State.COMPLETE, **metrics):
    named = {name.replace("__", "."): value for name, value in metrics.items()}
    return Trial(number, Architecture("toy", (number,)), f"{number}", state, named)


def test_front_is_what_no_other_beats_fastest_first():
    points = [(0.5, 2.0), (0.7, 3.0), (0.6, 3.5), (0.4, 1.0), (0.7, 3.0)]
    trials = [_trial(i, accuracy=accuracy, latency_ms=latency) for i, (accuracy, latency) in enumerate(points)]
    trials += [_trial(5, State.FAILED), _trial(6, params=5.0), _trial(7, State.PRUNED, accuracy=0.9, latency_ms=0.1)]
    assert [t.number for t in front_trials(trials, "accuracy", ["latency_ms"])] == [3, 0, 1]


def test_front_of_several_devices_is_not_beaten_on_all():
    points = [(0.5, 2, 9), (0.5, 3, 8), (0.5, 3, 9), (0.6, 4, 9)]
    trials = [_trial(i, accuracy=a, latency_ms__phone=b, latency_ms__pi=c) for i, (a, b, c) in enumerate(points)]
    names = ["latency_ms.phone", "latency_ms.pi"]
    assert [t.number for t in front_trials(trials, "accuracy", names)] == [0, 1, 3]
    assert [t.number for t in front_trials(trials, "accuracy", names[:1])] == [0, 3]
    assert [t.number for t in front_trials(trials, "accuracy", [])] == [3]


def test_front_of_a_falling_quality_has_the_smallest():
    points = [(90.0, 1.0), (80.0, 2.0), (85.0, 3.0), (70.0, 4.0)]
    trials = [_trial(i, perplexity=perplexity, latency_ms=latency) for i, (perplexity, latency) in enumerate(points)]
    assert [t.number for t in front_trials(trials, "perplexity", ["latency_ms"])] == [0, 1, 3]
