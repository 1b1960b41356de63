import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paretonas.errors import UsageError
from paretonas.objective import Goals, Limit, front, hypervolume
from paretonas.strategy.nsga2 import NSGA2, Member, crowding_distances, sorted_fronts, survivors
from paretonas.strategy.random import RandomSearch
from paretonas.testing.strategy import TOY_SPACE, TWO_GOALS, ended, toy_reward
from paretonas.trial import State

small = st.integers(0, 4).map(float)
examples = settings(deadline=None, database=None, derandomize=True)


def member(*values, violation=0.0):
    return Member(None, values or None, violation)


@examples
@given(st.lists(st.tuples(small, small), min_size=1, max_size=30))
def test_fronts_are_peeled_off_one_after_the_other(points):
    fronts = sorted_fronts(np.array(points))
    assert sorted(i for found in fronts for i in found) == list(range(len(points)))
    left = dict(enumerate(points))
    for found in fronts:
        best = {points[i] for i in found}
        assert best == {tuple(list(left.values())[j]) for j in front(list(left.values()))}
        for i in found:
            del left[i]


def test_crowding_is_the_gap_between_neighbours_in_shares_of_the_range():
    points = np.array([[0.0, 10.0], [1.0, 4.0], [4.0, 0.0], [2.0, 2.0]])
    # of the second: (2 - 0) / 4 + (10 - 2) / 10; of the last: (4 - 1) / 4 + (4 - 0) / 10
    assert crowding_distances(points) == pytest.approx([math.inf, 1.3, math.inf, 1.15])


def test_survivors_are_ranked_by_front_then_crowding_and_broken_limits_come_last():
    members = [
        member(2.0, 2.0),
        member(1.0, 1.0),
        member(3.0, 0.0),
        member(9.0, 9.0, violation=0.1),
        member(violation=9),
    ]
    found = survivors(members, 4)
    assert [m.values for m in found] == [(2.0, 2.0), (3.0, 0.0), (1.0, 1.0), (9.0, 9.0)]
    assert [m.rank for m in found] == [0, 0, 1, 2]


def test_children_come_from_the_survivors_and_are_new():
    strategy = NSGA2(population=4).start(TOY_SPACE, 0, TWO_GOALS)
    first = strategy.ask(4)
    strategy.tell([told(p, n) for n, p in enumerate(first)])
    children = strategy.ask(20)
    assert all(set(p.context["parents"]) <= {0, 1, 2, 3} for p in children)
    assert len({p.architecture for p in (*first, *children)}) == 24


def told(proposal, number):
    return ended(proposal, toy_reward(proposal.architecture), number)


def test_it_finds_more_of_a_front_than_random_search():
    def volume(options, seed):
        strategy, history = options.start(TOY_SPACE, seed, TWO_GOALS), []
        while len(history) < 200:
            for p in strategy.ask(4):
                history.append(told(p, len(history)))
                strategy.tell(history[-1:])
        return hypervolume([(t.metrics["accuracy"], -t.metrics["latency_ms"]) for t in history], (0.3, -20.0))

    found = [volume(NSGA2(), seed) - volume(RandomSearch(), seed) for seed in range(4)]
    assert min(found) > 0


def test_of_the_reward_alone_it_evolves_towards_the_best():
    strategy = NSGA2(population=4).start(TOY_SPACE, 0, Goals())
    first = strategy.ask(8)
    strategy.tell([ended(p, p.number / 10, p.number) for p in first])
    parents = {parent for p in strategy.ask(40) for parent in p.context["parents"]}
    assert parents == {4, 5, 6, 7}


def test_it_pursues_the_front_where_nobody_says():
    assert NSGA2().pursues == "front"


def test_what_breaks_a_limit_by_less_is_the_better_parent():
    goals = Goals(TWO_GOALS.metrics, (Limit("latency_ms", 10.0),))
    strategy = NSGA2(population=2).start(TOY_SPACE, 0, goals)
    trials = [replace(told(p, n), state=State.PRUNED, reward=0.0) for n, p in enumerate(strategy.ask(2))]
    trials = [replace(t, metrics={"latency_ms": latency}) for t, latency in zip(trials, (30.0, 11.0), strict=True)]
    strategy.tell(trials)
    counts = [p.context["parents"].count(1) for p in strategy.ask(40)]
    assert sum(counts) > 40


@pytest.mark.parametrize("wrong", [{"population": 1}, {"crossover": 1.5}, {"mutation": 0.0}, {"mutation": math.nan}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError):
        NSGA2(**wrong)
