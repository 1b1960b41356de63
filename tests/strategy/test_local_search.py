import pytest

from paretonas.errors import UsageError
from paretonas.objective import Goals
from paretonas.strategy.local_search import LocalSearch
from paretonas.testing.strategy import TOY_SPACE, ended, run, toy_reward


def tell(strategy, proposals, rewards, told=0):
    strategy.tell([ended(p, r, told + i) for i, (p, r) in enumerate(zip(proposals, rewards, strict=True))])


def differences(a, b):
    return sum(x != y for x, y in zip(a.architecture.choices, b.architecture.choices, strict=True))


def test_it_climbs_from_the_best_of_the_beginning():
    strategy = LocalSearch(initial=3).start(TOY_SPACE, 0, Goals())
    first = strategy.ask(10)
    assert len(first) == 3  # no more before it is known which is best
    tell(strategy, first, [0.1, 0.9, 0.5])
    around = strategy.ask(4)
    assert {differences(first[1], p) for p in around} == {1}
    assert {p.context["centre"] for p in around} == {1}


def test_it_moves_to_the_first_neighbour_that_is_better():
    strategy = LocalSearch(initial=1).start(TOY_SPACE, 0, Goals())
    (first,) = strategy.ask(1)
    tell(strategy, [first], [0.5])
    worse, better = strategy.ask(2)
    tell(strategy, [worse, better], [0.4, 0.6])
    assert {differences(better, p) for p in strategy.ask(3)} == {1}


def test_it_begins_anew_once_all_neighbours_are_worse_and_proposes_nothing_twice():
    strategy = LocalSearch(initial=2).start(TOY_SPACE, 0, Goals())
    first = strategy.ask(2)
    tell(strategy, first, [0.9, 0.1])
    around = strategy.ask(100)
    neighbours = len(list(TOY_SPACE.neighbours(first[0].architecture)))
    assert neighbours - 1 <= len(around) <= neighbours
    assert strategy.ask(1) == []  # one of them may be better
    tell(strategy, around, [0.2] * len(around), 2)
    (new,) = strategy.ask(1)
    assert new.context == {"climb": 1}
    proposed = [p.architecture for p in (*first, *around)]
    assert len(set(proposed)) == len(proposed)


def test_it_reaches_a_local_optimum():
    history = run(LocalSearch().start(TOY_SPACE, 0, Goals()), [], 120)
    best = max(history, key=lambda t: t.reward)
    assert all(toy_reward(n) <= best.reward for n in TOY_SPACE.neighbours(best.architecture))


def test_options_out_of_range_are_refused():
    with pytest.raises(UsageError, match="1 <= initial"):
        LocalSearch(initial=0)
